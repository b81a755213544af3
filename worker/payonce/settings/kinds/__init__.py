"""The kinds of gateways: one file each, with the kind's own keys and defaults."""

from collections.abc import Mapping

from payonce.settings.kinds.http import HTTP, HttpCredentials
from payonce.settings.kinds.kind import Kind

Credentials = HttpCredentials

KINDS: Mapping[str, Kind[Credentials]] = {one.name: one for one in (HTTP,)}

__all__ = ["KINDS", "Credentials", "Kind"]
