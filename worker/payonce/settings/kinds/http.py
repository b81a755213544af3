"""`kind = "http"`: the protocol of payonce's own making."""

from dataclasses import dataclass

from payonce.settings import values
from payonce.settings.kinds.kind import Kind
from payonce.settings.secret import Secret
from payonce.settings.table import Table


@dataclass(frozen=True, slots=True)
class HttpCredentials:
    """The first secret is sent, all of them are accepted."""

    secrets: tuple[Secret, ...]


def read_credentials(table: Table) -> HttpCredentials:
    """Return what a table says. Raises BadSettings."""
    return HttpCredentials(table.need("secret", values.webhook_secrets))


HTTP = Kind("http", read_credentials)
