"""python -m gateway_mock: serve until a signal."""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from gateway_mock.server import DEFAULT_SECRET, Mock, serving
from gateway_mock.shopper import Script, parse_profile


def main() -> int:
    """Serve the gateway mock; 2 where it is called wrongly."""
    arguments = _parser().parse_args()
    mock = Mock(arguments.secret)
    try:
        if arguments.profile:
            mock.profile = parse_profile(json.loads(arguments.profile.read_text(encoding="utf-8")))
        elif arguments.pays_after is not None:
            mock.profile.scripts = ((1.0, Script(pays_after_s=arguments.pays_after)),)
    except (OSError, ValueError) as error:
        print(f"gateway_mock: --profile: {error}", file=sys.stderr)
        return 2
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve(mock, arguments.host, arguments.port))
    else:
        uvloop.run(_serve(mock, arguments.host, arguments.port))
    return 0


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
        "--port", type=int, default=int(os.environ.get("GATEWAY_MOCK_PORT", "9090")), help="0: free"
    )
    parser.add_argument("--secret", default=os.environ.get("GATEWAY_MOCK_SECRET", DEFAULT_SECRET))
    parser.add_argument("--pays-after", type=float, metavar="S", help="every shopper pays after S")
    parser.add_argument("--profile", type=Path, help="JSON: how shoppers and gateway behave")
    return parser


if __name__ == "__main__":
    sys.exit(main())
