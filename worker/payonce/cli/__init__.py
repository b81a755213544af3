"""Commands: start, print, exit status. What they do lies below."""

from payonce.cli.main import run

__all__ = ["run"]
