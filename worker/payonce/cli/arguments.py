"""The arguments of every command."""

import argparse
from collections.abc import Callable

from payonce import __version__

COMMANDS = {
    "run": "consume, relay, sweep and serve until a signal",
    "migrate": "bring database and broker up to date",
    "check": "say whether configuration and servers are in order",
    "pay": "publish payment.initiated, to try things out",
    "consume": "post every payment.succeeded to a URL until it is taken",
    "show": "tell the story of an order or a payment",
    "unresolved": "list payments whose watch ended without a definite word",
    "mismatched": "list successes that do not fit their payment",
    "unacknowledged": "list paid orders that the order service has not booked",
    "notify": "tell of paid orders again now, those that nobody acknowledged",
    "refunds": "list, request, approve or reject refunds",
    "resolve": "end an entry of a list that a person has taken care of",
    "parked": "list or replay messages that could not be processed",
    "webhooks": "list or replay callbacks of gateways",
    "gateways": "show how gateways are treated; pause or resume one",
    "docs": "print the OpenAPI or the AsyncAPI document",
    "demo": "run the main job with a shop, a gateway, an order service",
}
LISTS = frozenset({"unresolved", "mismatched", "unacknowledged"})

Parser = argparse.ArgumentParser


class _Help(argparse.HelpFormatter):
    """Help in one column for commands and options, wide enough for the longest name."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)
        self._action_max_length = 18


def make_parser() -> Parser:
    """Return the parser of the command line; it leaves `command` and `module` in what it parses."""
    parser = Parser(
        prog="payonce",
        description="An order is paid exactly once, and a paid order never looks unpaid.",
        epilog="Configuration: PAYONCE_CONFIG and PAYONCE_SECTION__KEY; docs/configuration.md.",
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"payonce {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        command = _add(commands, name, text)
        command.set_defaults(command=name, module="lists" if name in LISTS else name)
        _ARGUMENTS.get(name, _none)(command)
    return parser


def _add(commands: "argparse._SubParsersAction[Parser]", name: str, text: str) -> Parser:
    sentence = f"{text[0].upper()}{text[1:]}."
    return commands.add_parser(name, help=text, description=sentence, formatter_class=_Help)


def _none(_: Parser) -> None:
    return


def _run(parser: Parser) -> None:
    parser.add_argument(
        "--only", metavar="ROLES", help="some of consumer,relay,sweeper,edge; default: all"
    )


def _check(parser: Parser) -> None:
    parser.add_argument("--online", action="store_true", help="ask the gateways too")
    _json(parser)


def _pay(parser: Parser) -> None:
    parser.add_argument("--order", metavar="ID", help="default: a new one")
    parser.add_argument("--payment", metavar="ID", help="default: a new one")
    parser.add_argument("--gateway", metavar="NAME", help="default: the first configured")
    parser.add_argument(
        "--amount", type=int, default=1999, metavar="N", help="minor units; default: 1999"
    )
    parser.add_argument("--currency", default="CNY", metavar="CODE", help="default: CNY")
    parser.add_argument("--gateway-ref", metavar="ID", help="the gateway's own id")
    parser.add_argument("--expires-at", metavar="TIME", help="RFC 3339; default: by watch_for")
    parser.add_argument(
        "--count", type=int, default=1, metavar="N", help="so many payments, each of its own order"
    )
    parser.add_argument("--rate", type=float, metavar="N", help="so many per second at most")


def _consume(parser: Parser) -> None:
    parser.add_argument(
        "--service", required=True, metavar="NAME", help="its queue is NAME.payment-succeeded"
    )
    parser.add_argument(
        "--url", required=True, metavar="URL", help="takes each event by POST; 2xx acknowledges"
    )
    parser.add_argument(
        "--secret-file",
        metavar="FILE",
        help="holds whsec_..., which signs each call; default: order_service.secret",
    )
    parser.add_argument(
        "--no-acknowledge",
        action="store_false",
        dest="acknowledge",
        help="do not tell payonce: for services that do not own the order",
    )
    parser.add_argument(
        "--ladder",
        default="1s,5s,30s,3m",
        metavar="WAITS",
        help="waits between tries, the last one repeats; default: 1s,5s,30s,3m",
    )


def _show(parser: Parser) -> None:
    parser.add_argument("id", metavar="ORDER|PAYMENT", help="the id of one or the other")
    _json(parser)


def _list(parser: Parser) -> None:
    _limit(parser)
    parser.add_argument("--cursor", metavar="CURSOR", help="where the page before ended")
    _json(parser)


def _parked(parser: Parser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    listing = _add(actions, "list", "show parked messages; they stay where they are")
    _list(listing)
    replaying = _add(actions, "replay", "send parked messages back to where they came from")
    replaying.add_argument("ids", nargs="*", metavar="MESSAGE_ID", help="as the list shows it")
    replaying.add_argument("--all", action="store_true", help="every message")
    for one in (listing, replaying):
        which = one.add_mutually_exclusive_group()
        which.add_argument("--service", metavar="NAME", help="those of an order consumer")
        which.add_argument(
            "--unrouted", action="store_true", help="those that came due for a queue not there"
        )


def _webhooks(parser: Parser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    listing = _add(actions, "list", "show callbacks, the latest first")
    some = listing.add_mutually_exclusive_group()
    some.add_argument("--unprocessed", action="store_true", help="those that wait")
    some.add_argument("--problems", action="store_true", help="those that could not be applied")
    _list(listing)
    replaying = _add(actions, "replay", "have callbacks applied again by a running worker")
    replaying.add_argument("ids", nargs="*", metavar="INBOX_ID", help="as the list shows it")
    replaying.add_argument("--all", action="store_true", help="every one that has a problem")


def _gateways(parser: Parser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    _json(_add(actions, "list", "show every gateway, and its latest changes"))
    pausing = _add(actions, "pause", "let no call go to a gateway; its payments stay watched")
    resuming = _add(actions, "resume", "let calls go to a gateway again")
    for one in (pausing, resuming):
        one.add_argument("name", metavar="NAME", help="as the configuration names it")
        one.add_argument("--by", required=True, metavar="NAME", help="who says so")
        is_pause = one is pausing
        one.add_argument("--why", required=is_pause, metavar="TEXT", help="goes to the journal")


def _refunds(parser: Parser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    listing = _add(actions, "list", "show the refunds that wait for a person")
    listing.add_argument("--status", metavar="STATUS", help="those of this status instead")
    _list(listing)
    requesting = _add(actions, "request", "ask for a refund, which another has to approve")
    _about(requesting, "PAYMENT", "whose money goes back", why=True)
    requesting.add_argument(
        "--amount", type=int, metavar="N", help="minor units; default: all that was captured"
    )
    approving = _add(actions, "approve", "let a held refund be sent")
    _about(approving, "REFUND", "as the list shows it", why=False)
    rejecting = _add(actions, "reject", "keep the money of a held refund")
    _about(rejecting, "REFUND", "as the list shows it", why=True)


def _notify(parser: Parser) -> None:
    parser.add_argument("orders", nargs="*", metavar="ORDER", help="as `unacknowledged` lists it")
    parser.add_argument("--all", action="store_true", help="every unacknowledged order")
    parser.add_argument("--by", required=True, metavar="NAME", help="who says so")


def _resolve(parser: Parser) -> None:
    _about(parser, "ID", "of an unresolved or mismatched payment, or of a refund", why=True)
    parser.add_argument(
        "--as",
        dest="resolved_as",
        required=True,
        metavar="HOW",
        help="refunded-elsewhere, refund or kept",
    )


def _about(parser: Parser, kind: str, text: str, *, why: bool) -> None:
    parser.add_argument("id", metavar=kind, help=text)
    parser.add_argument("--by", required=True, metavar="NAME", help="who says so")
    if why:
        parser.add_argument("--why", required=True, metavar="TEXT", help="for the timeline")
    parser.set_defaults(kind=kind, amount=None)


def _docs(parser: Parser) -> None:
    parser.add_argument("document", choices=("openapi", "asyncapi"), help="HTTP, or the bus")


def _demo(parser: Parser) -> None:
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    parser.add_argument("--embedded", action="store_true", help="without any server")
    parser.add_argument(
        "--gateways",
        choices=("mock", "all"),
        default="mock",
        help="all: a gateway of each kind; default: mock",
    )
    parser.add_argument("--plain", action="store_true", help="lines instead of a live table")


def _json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def _limit(parser: Parser) -> None:
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="default: 100")


_ARGUMENTS: dict[str, Callable[[Parser], None]] = {
    "run": _run,
    "check": _check,
    "pay": _pay,
    "consume": _consume,
    "show": _show,
    "unresolved": _list,
    "mismatched": _list,
    "unacknowledged": _list,
    "notify": _notify,
    "refunds": _refunds,
    "resolve": _resolve,
    "parked": _parked,
    "webhooks": _webhooks,
    "gateways": _gateways,
    "docs": _docs,
    "demo": _demo,
}
