"""The demo's gateways: one program that plays two of them, or one program for each kind."""

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from payonce.cli.demo.stage import Mock, free_port, mock_program, wait_ready
from payonce.cli.demo.stories import GATEWAY, SLIP
from payonce.domain.errors import BadSettings
from payonce.settings import load_settings
from payonce.settings.kinds.http import HttpCredentials

TIMEOUT_S = "3"
STRIPE_KEY = "sk_test_payonce_mock_public_key"
STRIPE_WEBHOOK_SECRET = "whsec_payonce_mock_public_secret"  # noqa: S105 - a mock's, public
HOLD_ABOVE = {"CNY": 100_000, "USD": 20_000, "BRL": 100_000}

Told = dict[str, str]
"""What the worker is told of one gateway, by key of its table."""


@dataclass(frozen=True, slots=True)
class Gateways:
    """Gateways that are ready: `mocks` by name; `variables`: the worker's configuration of them."""

    mocks: Mapping[str, Mock]
    variables: Mapping[str, str]


OpenGateways = Callable[[aiohttp.ClientSession, str], AbstractAsyncContextManager[Gateways]]
"""Called with a session and the worker's URL."""


@dataclass(frozen=True, slots=True)
class Part:
    """One gateway of the demo of all kinds.

    `tell`: what the worker is told, by the mock's URL and the folder of its keys. `posts`: its
    callbacks go to one place for all charges, which it is told at its start.
    """

    kind: str
    tell: Callable[[str, Path], Told]
    posts: bool = False


@asynccontextmanager
async def one_program(session: aiohttp.ClientSession, worker_url: str) -> AsyncIterator[Gateways]:
    """Give the two gateways that one program plays."""
    del worker_url  # it is told with each charge
    async with AsyncExitStack() as stack:
        mock = await _started(stack, session, "gateway")
        yield Gateways({GATEWAY: mock, SLIP: mock}, _variables_of_two(mock.url))


@asynccontextmanager
async def every_kind(session: aiohttp.ClientSession, worker_url: str) -> AsyncIterator[Gateways]:
    """Give a gateway of each kind; their keys lie in a folder that is gone at the end."""
    async with AsyncExitStack() as stack:
        root = Path(stack.enter_context(TemporaryDirectory(prefix="payonce-demo-keys-")))
        variables = {"PAYONCE_REFUND__HOLD_ABOVE": json.dumps(HOLD_ABOVE)}
        mocks = {}
        for name, part in PARTS.items():
            arguments = ["--kind", part.kind, "--keys", str(root / name)]
            if part.posts:
                arguments += ["--webhook-url", f"{worker_url}/v1/webhooks/{name}"]
            mocks[name] = await _started(stack, session, name, *arguments)
            told = {"KIND": part.kind, "TIMEOUT_S": TIMEOUT_S}
            told |= part.tell(mocks[name].url, root / name)
            prefix = f"PAYONCE_GATEWAYS__{name.upper()}__"
            variables |= {prefix + key: value for key, value in told.items()}
        yield Gateways(mocks, variables)


async def _started(
    stack: AsyncExitStack, session: aiohttp.ClientSession, name: str, *arguments: str
) -> Mock:
    port = free_port()
    program = mock_program(port, os.environ, *arguments, name=name)
    stack.push_async_callback(program.stop)
    await program.start()
    mock = Mock(f"http://127.0.0.1:{port}", session)
    await wait_ready(session, f"{mock.url}/control/healthz", program)
    return mock


def _variables_of_two(url: str) -> Mapping[str, str]:
    credentials = load_settings(os.environ).gateways[GATEWAY].credentials
    if not isinstance(credentials, HttpCredentials):
        raise BadSettings(f"gateways.{GATEWAY}.kind", "is not the demo's", "http")
    slip = {
        "kind": "http",
        "label": "Bank slip",
        "base_url": url,
        "secret": credentials.secrets[0].reveal(),
        "timeout_s": int(TIMEOUT_S),
        "can_close": False,
    }
    return {
        "PAYONCE_GATEWAYS__MOCK__BASE_URL": url,
        "PAYONCE_GATEWAYS__MOCK__TIMEOUT_S": TIMEOUT_S,
        f"PAYONCE_GATEWAYS__{SLIP.upper()}": json.dumps(slip),
    }


def _http(url: str, _keys: Path) -> Told:
    return {"BASE_URL": url}


def _wechatpay(url: str, keys: Path) -> Told:
    known = json.loads((keys / "sandbox.json").read_text(encoding="utf-8"))
    return {
        "BASE_URL": url,
        "MCHID": known["mchid"],
        "APPID": known["appid"],
        "SERIAL": known["serial"],
        "PRIVATE_KEY_FILE": str(keys / "merchant_key.pem"),
        "API_V3_KEY_FILE": str(keys / "api_v3_key"),
        f"PUBLIC_KEYS__{known['public_key_id']}_FILE": str(keys / "platform_public_key.pem"),
    }


def _alipay(url: str, keys: Path) -> Told:
    known = json.loads((keys / "names.json").read_text(encoding="utf-8"))
    return {
        "BASE_URL": f"{url}/gateway.do",
        "APP_ID": known["app_id"],
        "SELLER_ID": known["seller_id"],
        "PRIVATE_KEY_FILE": str(keys / "app_private_key.pem"),
        "PUBLIC_KEY_FILE": str(keys / "alipay_public_key.pem"),
    }


def _cards(url: str, _keys: Path) -> Told:
    return {"BASE_URL": url, "SECRET_KEY": STRIPE_KEY, "WEBHOOK_SECRET": STRIPE_WEBHOOK_SECRET}


def _boleto(url: str, keys: Path) -> Told:
    return {**_cards(url, keys), "PAYMENT_METHODS": '["boleto"]', "LABEL": "Boleto"}


def _paypal(url: str, keys: Path) -> Told:
    return {
        "BASE_URL": url,
        "CLIENT_ID": "mock-client",
        "CLIENT_SECRET": "mock-client-secret",
        "WEBHOOK_ID": "8MOCK1234567",
        "CERT_HOSTS": json.dumps([url]),
        "CERT_ROOTS_FILE": str(keys / "paypal-root.pem"),
    }


PARTS: Mapping[str, Part] = {
    GATEWAY: Part("http", _http),
    "wechat": Part("wechatpay", _wechatpay),
    "alipay": Part("alipay", _alipay),
    "cards": Part("stripe", _cards, posts=True),
    "boleto": Part("stripe", _boleto, posts=True),
    "paypal": Part("paypal", _paypal, posts=True),
}
"""By the gateway's name."""
