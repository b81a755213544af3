"""Where payonce calls: the signature is checked on the raw bytes, a 2xx says that it is booked."""

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from examples.order_service.books import Books


def make_app(books: Books, secret: str) -> web.Application:
    """Return the application that takes the calls at POST /paid."""
    webhook = Webhook(secret)

    async def paid(request: web.Request) -> web.Response:
        try:
            # Signed by our secret, at most five minutes ago; only then are the bytes read as JSON.
            event = webhook.verify(await request.read(), dict(request.headers))
        except (WebhookVerificationError, ValueError):
            return web.Response(status=401)
        if event["type"] == "payment.succeeded":
            # An error in here is answered with 500, and payonce calls again.
            await books.book(event["id"], event["data"])
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/paid", paid)
    return app
