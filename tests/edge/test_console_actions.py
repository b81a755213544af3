"""The console's actions and lists: what is done under whose name, what is shown and said."""

import pytest

from payonce.adapters.postgres.dashboard import Found
from payonce.domain.errors import Conflict
from tests.support.console import (
    ORDER,
    SAME_SITE,
    Console,
    open_console,
    payment,
    refund,
)


async def test_the_actions_go_through_the_desks_under_the_operators_name(inside: Console) -> None:
    """And are noted before they are done."""
    assert "second person" in await inside.send("/ops/refunds/r-1/approve", sure="yes")
    assert "kept" in await inside.send("/ops/refunds/r-1/reject", why="a voucher")
    await inside.send("/ops/refunds", payment_id="p-2", amount="5.50", why="half")
    await inside.send("/ops/refunds", payment_id="p-2", amount="", why="all of it")
    await inside.send("/ops/resolve/p-1", why="seen", **{"as": "kept"})
    await inside.send("/ops/parked/replay", queue="parked", message_id="m-1")
    await inside.send("/ops/parked/replay", queue="unrouted", sure="yes")
    await inside.send("/ops/webhooks/7/replay")
    await inside.send("/ops/gateways/mock/pause", why="works")
    await inside.send("/ops/gateways/mock/resume")
    assert [
        ("approve", "r-1", "ann"),
        ("reject", "r-1", "ann", "a voucher"),
        ("request", "p-2", 550, "ann", "half"),
        ("request", "p-2", None, "ann", "all of it"),
        ("resolve", "p-1", "kept", "ann", "seen"),
        ("parked", ["m-1"]),
        ("parked", None),
        ("callback", 7),
    ] == inside.books.done
    assert [("paused", "ann", "works"), ("resumed", "ann", None)] == [
        (one.kind, one.by, one.why) for one in inside.board.lines
    ]
    assert [
        ("ann", "approve", "r-1", None),
        ("ann", "reject", "r-1", "a voucher"),
        ("ann", "request refund", "p-2", "5.50 CNY: half"),
        ("ann", "request refund", "p-2", "all: all of it"),
        ("ann", "resolve as kept", "p-1", "seen"),
        ("ann", "replay", "parked: m-1", None),
        ("ann", "replay", "unrouted: all", None),
        ("ann", "replay callback", "7", None),
        ("ann", "pause", "mock", "works"),
        ("ann", "resume", "mock", None),
    ] == inside.books.noted


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("/ops/refunds/r-1/approve", {}, "tick the box"),
        ("/ops/refunds/r-1/reject", {"why": " "}, "why: is missing"),
        ("/ops/refunds", {"payment_id": "p-2", "amount": "1,50", "why": "x"}, "no amount"),
        ("/ops/refunds", {"payment_id": "p-2", "amount": "1.505", "why": "x"}, "no amount"),
        ("/ops/refunds", {"payment_id": "p-2", "amount": "1e9", "why": "x"}, "no amount"),
        ("/ops/refunds", {"payment_id": "p-2", "amount": "0", "why": "x"}, "out of range"),
        ("/ops/refunds", {"why": "x"}, "payment_id"),
        ("/ops/parked/replay", {"queue": "parked"}, "tick the box"),
        ("/ops/parked/replay", {"queue": "other", "sure": "yes"}, "allowed: parked"),
        ("/ops/webhooks/100/replay", {}, "no callback 100"),
        ("/ops/webhooks/x/replay", {}, "no callback x"),
        ("/ops/gateways/mok/pause", {"why": "x"}, "no gateway"),
        ("/ops/gateways/mock/pause", {}, "why: is missing"),
    ],
)
async def test_what_is_not_done_is_said_in_words(
    inside: Console, path: str, fields: dict[str, str], said: str
) -> None:
    """On the page from which it was asked."""
    words = await inside.send(path, **fields)
    assert "Not done" in words
    assert said.lower() in words.lower()
    assert [] == [one for one in inside.books.done if one[0] != "callback"]


async def test_a_rule_that_forbids_is_told(inside: Console) -> None:
    """As the desk words it."""
    inside.books.refusal = Conflict("own-request", "ann asked for r-1: another must approve")
    words = await inside.send("/ops/refunds/r-1/approve", sure="yes")
    assert "Ann asked for r-1: another must approve" in words


async def test_what_was_said_is_said_once(inside: Console) -> None:
    """A reload does not repeat it, and nobody puts words into the page."""
    assert "kept" in await inside.send("/ops/refunds/r-1/reject", why="x")
    assert "The money of refund" not in (await inside.get("/ops/refunds"))[1]
    forged = {"Cookie": f"payonce_ops_said=K2hp.{'0' * 64}"}
    async with inside.stranger() as client:
        text = await (await client.get("/ops/login", headers=forged)).text()
    assert 'class="said' not in text


@pytest.mark.parametrize(
    ("status", "who", "shown", "hidden"),
    [
        ("HELD", {}, ["Approve", "Reject", "Resolve"], []),
        ("HELD", {"requested_by": "Ann"}, ["You asked for it", "Reject"], ["/approve"]),
        ("HELD", {"approved_by": "ann"}, ["You approved it already"], ["/approve"]),
        ("HELD", {"approved_by": "bob"}, ["/approve", "approved by"], []),
        ("HELD", {"rule": "same-charge"}, ["No approval helps"], ["/approve"]),
        ("SUBMITTED", {"rule": None}, [], ["/approve", "/reject", "Resolve"]),
        ("FAILED", {"rule": None}, ["Resolve"], ["/approve", "/reject"]),
    ],
)
async def test_two_peoples_rules_are_shown(
    inside: Console, status: str, who: dict[str, str], shown: list[str], hidden: list[str]
) -> None:
    """Who asked, who approved, and why the same person may not."""
    inside.books.lists["refunds"] = [refund(status=status, **who)]
    text = (await inside.get("/ops/refunds"))[1].partition('id="live"')[2]
    for words in shown:
        assert words in text
    for words in hidden:
        assert words not in text


async def test_a_database_that_is_away_is_said_to_be(inside: Console) -> None:
    """503 in words, not a fault of ours; the form may have done something or not."""
    csrf = await inside.csrf()
    inside.clock.move(60)
    inside.books.away = True
    for path in ("/ops", "/ops/unresolved", "/ops/orders/o-1"):
        answer = await inside.client.get(path)
        assert (503, "2") == (answer.status, answer.headers["Retry-After"])
        assert "postgresql is away" in await answer.text()
    answer = await inside.client.post(
        "/ops/refunds/r-1/approve", data={"csrf": csrf, "sure": "yes"}, headers=SAME_SITE
    )
    assert 503 == answer.status
    inside.books.away = False
    inside.clock.move(60)
    assert 200 == (await inside.get("/ops"))[0]


async def test_without_the_broker_the_rest_is_shown(inside: Console) -> None:
    """The queues are said to be unknown; nothing is said of how many are empty."""
    assert "1 others" in (await inside.get("/ops"))[1]
    inside.clock.move(60)
    inside.books.broker_away = True
    status, text = await inside.get("/ops")
    assert 200 == status
    assert "rabbitmq is unavailable: away" in text
    assert "others" not in text


async def test_what_is_not_counted_to_its_end_is_said_to_be_more(inside: Console) -> None:
    """A count that stopped is no count."""
    assert "counting stopped" not in (await inside.get("/ops"))[1]
    inside.books.crowded = True
    inside.clock.move(60)
    assert "counting stopped" in (await inside.get("/ops"))[1]


async def test_viewers_share_what_was_read(inside: Console) -> None:
    """Ten looks within a second cost one reading; what is done is seen at once."""
    await inside.get("/ops/mismatched")
    before = inside.books.reads
    for _ in range(10):
        await inside.get("/ops/mismatched")
    assert before == inside.books.reads
    inside.books.lists["mismatched"] = [payment("p-new", mismatched="amount")]
    await inside.send("/ops/resolve/p-1", why="seen", back="/ops/mismatched", **{"as": "kept"})
    assert "p-new" in (await inside.get("/ops/mismatched"))[1]


async def test_what_did_not_change_is_not_sent_again(inside: Console) -> None:
    """304, and only the part that changes, without the page around it."""
    live = {"Payonce-Live": "1"}
    first = await inside.client.get("/ops/unresolved", headers=live)
    assert "<html" not in await first.text()
    etag = first.headers["ETag"]
    again = await inside.client.get("/ops/unresolved", headers={**live, "If-None-Match": etag})
    assert (304, b"") == (again.status, await again.read())
    inside.books.lists["unresolved"] = [payment("p-new", unresolved=True)]
    inside.clock.move(2)
    changed = await inside.client.get("/ops/unresolved", headers={**live, "If-None-Match": etag})
    assert 200 == changed.status
    assert "p-new" in await changed.text()


async def test_a_search_leads_to_the_order(inside: Console) -> None:
    """By whatever id; of several it shows which, of none that there is none."""
    inside.books.found = [Found("payment", "o-1")]
    answer = await inside.client.get("/ops/orders?q=p-1", allow_redirects=False)
    assert (303, "/ops/orders/o-1") == (answer.status, answer.headers["Location"])
    inside.books.found = [Found("gateway", "o-1"), Found("gateway", "o-2")]
    text = (await inside.get("/ops/orders?q=ref"))[1]
    assert text.count("/ops/orders/o-") == 2
    assert 422 == (await inside.get(f"/ops/orders?q={'x' * 256}"))[0]


async def test_an_order_that_is_not_known_is_not_found(inside: Console) -> None:
    """404, in words."""
    status, text = await inside.get("/ops/orders/o-9")
    assert 404 == status
    assert "No order, payment or refund is known" in text


async def test_an_order_service_is_told_again() -> None:
    """What came of the button is said, and who pressed it is recorded."""
    told: list[tuple[str, str]] = []

    async def notify(order_id: str, by: str) -> str:
        told.append((order_id, by))
        return "It answered 200."

    order = {**ORDER, "order_id": "o-7"}
    path = "/ops/unacknowledged/o-7/notify"
    async with open_console(notify=notify) as console:
        await console.log_in()
        console.books.lists["unacknowledged"] = [order]
        assert path in (await console.get("/ops/unacknowledged"))[1]
        assert "It answered 200." == await console.send(path)
        assert [("o-7", "ann")] == told
        assert [("ann", "notify", "o-7", None)] == console.books.noted


async def test_lists_go_on_by_their_cursor(inside: Console) -> None:
    """With a link to the next page, and back to the first."""
    assert (
        'href="/ops/unresolved?cursor=more" rel="next"' in (await inside.get("/ops/unresolved"))[1]
    )
    text = (await inside.get("/ops/unresolved?cursor=more"))[1]
    assert "First page" in text
    assert "Next page" not in text


@pytest.mark.parametrize(
    "path", ["/ops/webhooks?which=some", "/ops/parked?queue=x", "/ops/webhooks?which=%00"]
)
async def test_a_bad_choice_is_named(inside: Console, path: str) -> None:
    """422, in words."""
    status, text = await inside.get(path)
    assert 422 == status
    assert "allowed:" in text
