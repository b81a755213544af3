"""All targets, in order of their names."""

from importlib import import_module

from tests.fuzz.targets import TARGETS, Target

MODULES = ("bus", "callbacks", "gateways", "web")


def every_target() -> list[Target]:
    """Return them."""
    for name in MODULES:
        import_module(f"tests.fuzz.{name}")
    return [TARGETS[name] for name in sorted(TARGETS)]
