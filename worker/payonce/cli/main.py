"""The command line: which command, and how it ends."""

import asyncio
import os
import sys
import traceback
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module

from payonce.cli.arguments import make_parser
from payonce.cli.printing import shown
from payonce.domain.errors import (
    BadSettings,
    InvalidField,
    MigrationFailed,
    PayonceError,
    Unavailable,
    Unroutable,
)

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def run(argv: Sequence[str]) -> int:
    """Run a command; every expected error is one line on standard error."""
    arguments = make_parser().parse_args(argv)
    module = import_module(f"payonce.cli.{arguments.module}")
    if arguments.command not in {"run", "consume"}:
        _log_errors_alone()
    return _guarded(lambda: _execute(module.execute(arguments)))


def _log_errors_alone() -> None:
    """Keep a short command's output to itself, unless PAYONCE_LOG_LEVEL asks for more."""
    from payonce.adapters.logs import configure_logs

    configure_logs({"PAYONCE_LOG_LEVEL": "error", **os.environ})


def _execute(work: int | Coroutine[object, object, int]) -> int:
    return work if isinstance(work, int) else _loop_run(work)


def _loop_run(work: Coroutine[object, object, int]) -> int:
    import uvloop

    return int(uvloop.run(_watched(work)))


async def _watched(work: Coroutine[object, object, int]) -> int:
    """Do the work; what a library leaves behind at its end is nothing to tell anybody of."""
    from payonce.adapters.rabbitmq.errors import pass_over_loose_ends

    asyncio.get_running_loop().set_exception_handler(pass_over_loose_ends)
    return await work


def _guarded(work: Callable[[], int]) -> int:
    try:
        status = work()
        sys.stdout.flush()
        return status
    except (BadSettings, InvalidField) as error:
        return _fail(str(error), EXIT_USAGE)
    except PayonceError as error:
        return _fail(f"{error}{next_step(error)}", EXIT_FAILED)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away: nothing more to say, also not while closing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception:  # noqa: BLE001 - told as it is, in a traceback without secrets
        return _fail_unexpectedly()


def _fail(line: str, status: int) -> int:
    print(shown(f"payonce: {' '.join(line.split())}"), file=sys.stderr)
    return status


def _fail_unexpectedly() -> int:
    """Print the traceback of a bug, without the secrets that foreign errors quote."""
    from payonce.adapters.logs import mask_text

    print(mask_text(traceback.format_exc()), end="", file=sys.stderr)
    return EXIT_FAILED


def next_step(error: PayonceError) -> str:
    """Return what to do about an error that does not say it itself."""
    match error:
        case Unavailable(server="postgresql"):
            return "; start it, or set PAYONCE_POSTGRES_DSN"
        case Unavailable(server="rabbitmq"):
            return "; start it, or set PAYONCE_AMQP_URL"
        case Unroutable():
            return "; run `payonce migrate` first"
        case MigrationFailed(problem=problem) if "payonce migrate" not in problem:
            return "; see docs/database.md"
        case _:
            return ""
