"""python -m gateway_mock: serve until a signal."""

import argparse
import asyncio
import base64
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gateway_mock.app import serving
from gateway_mock.kinds import KINDS, Options
from gateway_mock.server import DEFAULT_SECRET, Mock
from gateway_mock.shopper import Profile, Script, parse_profile


def main() -> int:
    """Serve the gateway mock; 2 where it is called wrongly, 1 where it cannot listen."""
    arguments = _parser().parse_args()
    try:
        make_profile = _profile_maker(arguments)
        make_profile()
    except (OSError, ValueError) as error:
        print(f"gateway_mock: --profile: {error}", file=sys.stderr)
        return 2
    options = Options(
        secret=arguments.secret,
        keys=arguments.keys,
        make_profile=make_profile,
        webhook_url=arguments.webhook_url,
        public_url=arguments.public_url,
    )
    try:
        mock = KINDS[arguments.kind](options)
    except (OSError, ValueError, KeyError) as error:
        print(f"gateway_mock: --keys: {error}", file=sys.stderr)
        return 2
    try:
        _run(mock, arguments.host, arguments.port)
    except OSError as error:
        print(f"gateway_mock: {error}", file=sys.stderr)
        return 1
    return 0


def _profile_maker(arguments: argparse.Namespace) -> Callable[[], Profile]:
    """Return what makes the profile that the arguments describe. Raises OSError, ValueError."""
    if arguments.profile:
        return partial(parse_profile, json.loads(arguments.profile.read_text(encoding="utf-8")))
    if arguments.pays_after is not None:
        scripts = ((1.0, Script(pays_after_s=arguments.pays_after)),)
        return partial(Profile, scripts=scripts)
    return Profile


def _run(mock: Mock, host: str, port: int) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve(mock, host, port))
    else:
        uvloop.run(_serve(mock, host, port))


async def _serve(mock: Mock, host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(mock, host, port) as url:
        print(f"gateway mock on {url}", flush=True)
        await stop.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gateway_mock",
        description="A gateway with real books and scripted shoppers (docs/gateway-mock.md).",
    )
    parser.add_argument("--host", default=os.environ.get("GATEWAY_MOCK_HOST", "127.0.0.1"))
    parser.add_argument(
        "--port",
        type=_port,
        default=os.environ.get("GATEWAY_MOCK_PORT", "9090"),
        help="default: GATEWAY_MOCK_PORT, else 9090; 0: a free one",
    )
    parser.add_argument(
        "--secret", type=_secret, default=os.environ.get("GATEWAY_MOCK_SECRET", DEFAULT_SECRET)
    )
    parser.add_argument("--kind", choices=sorted(KINDS), default="http", help="default: http")
    parser.add_argument(
        "--keys", type=Path, metavar="FOLDER", help="read the kind's keys there, or write new ones"
    )
    parser.add_argument(
        "--webhook-url", metavar="URL", help="where stripe and paypal post their callbacks"
    )
    parser.add_argument(
        "--public-url",
        type=_url,
        default=os.environ.get("GATEWAY_MOCK_PUBLIC_URL", ""),
        metavar="URL",
        help="where shoppers reach the wallet; default: GATEWAY_MOCK_PUBLIC_URL, else where the "
        "gateway was called",
    )
    parser.add_argument("--pays-after", type=float, metavar="S", help="every shopper pays after S")
    parser.add_argument("--profile", type=Path, help="JSON: how shoppers and gateway behave")
    return parser


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; allowed: 0 to 65535")
    return int(text)


def _url(text: str) -> str:
    if text and not re.fullmatch(r"https?://[^\s/]+(/[^\s?#]*)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no address; allowed: http://host:port")
    return text


def _secret(text: str) -> str:
    try:
        base64.b64decode(text.removeprefix("whsec_"))
    except ValueError:
        raise argparse.ArgumentTypeError("what is given is not whsec_ and base64") from None
    return text


if __name__ == "__main__":
    sys.exit(main())
