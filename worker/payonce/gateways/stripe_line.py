"""One call to Stripe: its own SDK writes the request, our caller carries it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import stripe
from yarl import URL

from payonce.gateways.caller import Asking, Caller
from payonce.gateways.client import Answer, NoAnswer
from payonce.gateways.stripe_shapes import API_VERSION

if TYPE_CHECKING:
    from stripe import V1Services

# The SDK would keep an id of this machine in a file, and tell of the time of earlier calls.
stripe.enable_telemetry = False

Act = Callable[["V1Services"], Awaitable[object]]
"""What is asked of the SDK's services."""


class Line(stripe.HTTPClient):
    """The SDK's way out, for a single call."""

    name = "payonce"

    def __init__(
        self, caller: Caller, call: str, may_leave: Callable[[], bool] | None = None
    ) -> None:
        super().__init__()
        self._caller = caller
        self._call = call
        self._may_leave = may_leave
        self.heard: Answer | NoAnswer = NoAnswer("was not asked", sent=False)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request and keep what came back.

        The SDK itself gets an empty object: its reader takes values of any kind as they come, and
        prints what a header tells it to. What was heard is read by shapes of our own.
        """
        content = None if post_data is None else str(post_data).encode()
        target = URL(url, encoded=True)
        asking = Asking(self._call, method.upper(), target, headers, content, self._may_leave)
        self.heard = await self._caller.ask(asking)
        return b"{}", 200, {}


class Phone:
    """Calls one Stripe account."""

    def __init__(self, caller: Caller, base_url: str, secret_key: str) -> None:
        self._caller = caller
        self._base = base_url
        self._key = secret_key

    async def ask(
        self, call: str, act: Act, may_leave: Callable[[], bool] | None = None
    ) -> Answer | NoAnswer:
        """Return what `act` was answered, or why it was not; never raises.

        There are no retries by the SDK: whether and when to repeat is decided elsewhere.
        """
        line = Line(self._caller, call, may_leave)
        client = stripe.StripeClient(
            self._key,
            stripe_version=API_VERSION,
            base_addresses={"api": self._base},
            max_network_retries=0,
            http_client=line,
        )
        await act(client.v1)
        return line.heard
