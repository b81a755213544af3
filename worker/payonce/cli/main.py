"""The command line: which command, and how it ends."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from payonce import __version__
from payonce.domain.errors import (
    BadSettings,
    InvalidField,
    MigrationFailed,
    PayonceError,
    Unavailable,
    Unroutable,
)

COMMANDS = {
    "run": "consume, relay, sweep and serve until a signal",
    "migrate": "bring database and broker up to date",
    "check": "say whether configuration and servers are as they should be",
    "pay": "publish payment.initiated, to try things out",
    "consume": "post every payment.succeeded to a URL until it is taken",
    "show": "tell the story of an order or a payment",
    "unresolved": "list payments whose watch ended without a definite word",
    "mismatched": "list successes that do not fit their payment",
    "unacknowledged": "list paid orders that the order service has not booked",
    "parked": "list or replay messages that could not be processed",
    "demo": "run the main job with a shop, a gateway and an order service",
}

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def run(argv: Sequence[str]) -> int:
    """Run a command; every expected error is one line on standard error."""
    arguments = _parser().parse_args(argv)
    module = import_module(f"payonce.cli.{arguments.module}")
    if arguments.command not in {"run", "consume"}:
        _only_warn()
    return _guarded(lambda: _execute(module.execute(arguments)))


def _only_warn() -> None:
    """Keep a short command's output to itself, but for warnings."""
    from payonce.adapters.logs import configure_logs

    configure_logs({"PAYONCE_LOG_LEVEL": "error", **os.environ})


def _execute(work: "int | object") -> int:
    if asyncio.iscoroutine(work):
        return _loop_run(work)
    return int(work)  # type: ignore[call-overload, no-any-return]


def _loop_run(work: object) -> int:
    import uvloop

    return int(uvloop.run(work))  # type: ignore[arg-type]


def _guarded(work: Callable[[], int]) -> int:
    try:
        return work()
    except (BadSettings, InvalidField) as error:
        return _fail(str(error), EXIT_USAGE)
    except PayonceError as error:
        return _fail(f"{error}{_next_step(error)}", EXIT_FAILED)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away: nothing more to say, also not while closing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


def _fail(line: str, status: int) -> int:
    print(f"payonce: {' '.join(line.split())}", file=sys.stderr)
    return status


def _next_step(error: PayonceError) -> str:
    match error:
        case Unavailable(server="postgresql"):
            return "; start it, or set PAYONCE_POSTGRES_DSN"
        case Unavailable(server="rabbitmq"):
            return "; start it, or set PAYONCE_AMQP_URL"
        case Unroutable():
            return "; run payonce migrate first"
        case MigrationFailed():
            return "; see docs/database.md"
        case _:
            return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="payonce",
        description="An order is paid exactly once, and a paid order never looks unpaid.",
        epilog="Configuration: PAYONCE_CONFIG and PAYONCE_SECTION__KEY; docs/configuration.md.",
    )
    parser.add_argument("--version", action="version", version=f"payonce {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=name, module=_module_of(name))
        _ARGUMENTS.get(name, _no_arguments)(command)
    return parser


def _module_of(name: str) -> str:
    return "lists" if name in {"unresolved", "mismatched", "unacknowledged"} else name


def _no_arguments(_: argparse.ArgumentParser) -> None:
    return


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", metavar="ROLES", help="of consumer,relay,sweeper,edge")


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--online", action="store_true", help="ask the gateways too")
    parser.add_argument("--json", action="store_true")


def _pay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--order", metavar="ID", help="default: a new one")
    parser.add_argument("--payment", metavar="ID", help="default: a new one")
    parser.add_argument("--gateway", metavar="NAME", help="default: the first configured")
    parser.add_argument("--amount", type=int, default=1999, help="minor units")
    parser.add_argument("--currency", default="CNY")
    parser.add_argument("--gateway-ref", metavar="ID", help="the gateway's own id")
    parser.add_argument("--expires-at", metavar="TIME", help="RFC 3339")
    parser.add_argument("--count", type=int, default=1, help="so many orders")
    parser.add_argument("--rate", type=float, help="per second at most")


def _consume(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--service", required=True, metavar="NAME", help="names the queue")
    parser.add_argument("--url", required=True, help="takes each event by POST; 2xx acknowledges")
    parser.add_argument("--secret-file", metavar="FILE", help="whsec_..., signs each call")
    parser.add_argument("--ladder", default="1s,5s,30s,3m", help="waits between tries")


def _show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ORDER|PAYMENT")
    parser.add_argument("--json", action="store_true")


def _list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--cursor")
    parser.add_argument("--json", action="store_true")


def _parked(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    listing = actions.add_parser("list", help="show them; they stay")
    listing.add_argument("--limit", type=int, default=100)
    listing.add_argument("--json", action="store_true")
    replaying = actions.add_parser("replay", help="send them back to where they came from")
    replaying.add_argument("ids", nargs="*", metavar="MESSAGE_ID")
    replaying.add_argument("--all", action="store_true")
    for one in (listing, replaying):
        one.add_argument("--service", metavar="NAME", help="an order consumer's, not payonce's")


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    parser.add_argument("--embedded", action="store_true", help="without any server")
    parser.add_argument("--plain", action="store_true", help="lines instead of a live table")


_ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "run": _run,
    "check": _check,
    "pay": _pay,
    "consume": _consume,
    "show": _show,
    "unresolved": _list,
    "mismatched": _list,
    "unacknowledged": _list,
    "parked": _parked,
    "demo": _demo,
}
