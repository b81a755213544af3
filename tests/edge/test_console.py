"""The console over HTTP: who gets in, what is refused, what is shown of hostile words."""

from collections.abc import AsyncIterator

import pytest

from payonce.adapters.postgres.dashboard import Found
from payonce.domain.errors import Conflict
from tests.support.console import (
    ANN,
    AT,
    HOSTILE,
    SAME_SITE,
    Console,
    open_console,
    payment,
    refund,
)

PAGES = [
    "/ops",
    "/ops/refunds",
    "/ops/refunds?status=FAILED",
    "/ops/unresolved",
    "/ops/mismatched",
    "/ops/unacknowledged",
    "/ops/parked",
    "/ops/parked?queue=unrouted",
    "/ops/webhooks",
    "/ops/webhooks?which=all",
    "/ops/gateways",
    "/ops/orders",
    "/ops/orders?q=nobody",
    "/ops/orders/o-1",
]
FORMS = [
    "/ops/refunds",
    "/ops/refunds/r-1/approve",
    "/ops/refunds/r-1/reject",
    "/ops/resolve/p-1",
    "/ops/parked/replay",
    "/ops/webhooks/7/replay",
    "/ops/gateways/mock/pause",
    "/ops/gateways/mock/resume",
]
ORDER = {
    "order_id": "o-1",
    "status": "PAID",
    "amount": 1999,
    "currency": "CNY",
    "settled_by": "p-1",
    "settled_at": AT,
    "acknowledged": False,
    "payments": [payment("p-1", status="SUCCEEDED"), payment(status="SUCCEEDED", duplicate=True)],
    "refunds": [refund(rejected_by="bob", rejected_why=HOSTILE)],
    "timeline": [
        {
            "at": AT,
            "kind": "payment.failed",
            "payment_id": "p-1",
            "detail": {"reason": HOSTILE, "source": "poll", "polls": [[0, 1769846400000, HOSTILE]]},
        },
        {"at": AT, "kind": "thing.unheard_of", "payment_id": None, "detail": {"x": HOSTILE}},
    ],
}


@pytest.fixture
async def console() -> AsyncIterator[Console]:
    """A console with two operators."""
    async with open_console() as opened:
        yield opened


@pytest.fixture
async def inside(console: Console) -> Console:
    """A console with ann logged in."""
    assert 303 == (await console.log_in()).status
    return console


@pytest.mark.parametrize("path", PAGES)
async def test_strangers_are_led_to_the_login_and_back(console: Console, path: str) -> None:
    """With the page that they asked for; nothing is read for them."""
    answer = await console.client.get(path, allow_redirects=False)
    assert 303 == answer.status
    form = await console.client.get(answer.headers["Location"])
    assert f'name="next" value="{path}"' in await form.text()
    assert 0 == console.books.reads


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_shown_with_strict_headers(inside: Console, path: str) -> None:
    """No script or style in the page, nothing from elsewhere, no copy kept."""
    inside.books.orders["o-1"] = ORDER
    answer = await inside.client.get(path)
    text = await answer.text()
    assert 200 == answer.status
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert ("nosniff", "no-store", "same-origin") == (
        answer.headers["X-Content-Type-Options"],
        answer.headers["Cache-Control"],
        answer.headers["Referrer-Policy"],
    )
    assert "<style" not in text
    assert 'style="' not in text
    assert text.count("<script") == text.count('<script src="/static/')


async def test_hostile_words_stay_words(inside: Console) -> None:
    """Ids, reasons, answers, bodies: whoever wrote them."""
    books = inside.books
    books.orders["o-1"] = ORDER
    books.lists = {
        "refunds": [refund(HOSTILE, rule=HOSTILE, requested_by=HOSTILE, requested_why=HOSTILE)],
        "unresolved": [payment(HOSTILE, order_id=HOSTILE, gateway=HOSTILE, last_answer=HOSTILE)],
        "mismatched": [payment(HOSTILE, mismatched=HOSTILE)],
        "unacknowledged": [{**ORDER, "order_id": HOSTILE, "settled_by": HOSTILE}],
        "parked": [
            {
                "message_id": HOSTILE,
                "from": HOSTILE,
                "reason": HOSTILE,
                "parked_at": AT,
                "body": HOSTILE,
            }
        ],
        "webhooks": [
            {
                "inbox_id": 7,
                "gateway": HOSTILE,
                "event_id": HOSTILE,
                "payment_id": HOSTILE,
                "received_at": AT,
                "processed_at": None,
                "problem": "\u202eturned round",
                "revive_at": None,
                "body": HOSTILE,
            }
        ],
    }
    await inside.board.pause("mock", "ann", HOSTILE, inside.clock.now())
    seen = ""
    for path in [*PAGES, f"/ops/orders?q={HOSTILE}"]:
        status, text = await inside.get(path)
        assert 200 == status, path
        assert HOSTILE not in text, path
        assert "\u202e" not in text, path
        seen += text
    assert seen.count("&lt;script&gt;") > 20


async def test_without_operators_the_page_says_what_to_configure() -> None:
    """403, on every page and form."""
    async with open_console({}) as console:
        for path in ("/ops", "/ops/login"):
            status, text = await console.get(path)
            assert 403 == status
            assert "[http.operators]" in text
        assert 403 == (await console.log_in("")).status


async def test_a_wrong_token_gets_nobody_in(console: Console) -> None:
    """401, in words; no cookie."""
    answer = await console.log_in("wrong")
    assert 401 == answer.status
    assert "no operator" in await answer.text()
    assert "Set-Cookie" not in answer.headers


async def test_the_cookie_is_for_this_site_and_no_script(console: Console) -> None:
    """And for TLS alone where the public address has it."""
    cookies = (await console.log_in()).headers.getall("Set-Cookie")
    [session] = [one for one in cookies if one.startswith("payonce_ops=")]
    assert {"HttpOnly", "Path=/ops", "SameSite=Strict", "Max-Age=28800"} <= set(session.split("; "))
    assert "Secure" not in session
    assert ANN not in session

    async with open_console(public_url="https://pay.example") as secure:
        for cookie in (await secure.log_in()).headers.getall("Set-Cookie"):
            assert "Secure" in cookie.split("; ")


@pytest.mark.parametrize(
    "following", ["https://evil.example", "//evil.example", "/ops/../x", "/opsx", "/ops\\x", "x"]
)
async def test_the_login_leads_nowhere_else(console: Console, following: str) -> None:
    """Whatever `next` says."""
    answer = await console.client.post(
        "/ops/login",
        data={"token": ANN, "next": following},
        headers=SAME_SITE,
        allow_redirects=False,
    )
    assert (303, "/ops") == (answer.status, answer.headers["Location"])


async def test_a_session_ends_after_eight_hours(inside: Console) -> None:
    """By the clock of the server; a page that refreshes itself is told."""
    inside.clock.move(8 * 3600 - 1)
    assert 200 == (await inside.get("/ops"))[0]
    inside.clock.move(1)
    assert 303 == (await inside.get("/ops"))[0]
    status, text = await inside.get("/ops", **{"Payonce-Live": "1"})
    assert 401 == status
    assert "/ops/login?next=/ops" in text


@pytest.mark.parametrize("operators", [{"bob": "b"}, {"ann": "another", "bob": "b"}])
async def test_a_removed_operator_or_a_new_token_ends_the_session(
    operators: dict[str, str],
) -> None:
    """At once: at the first request to a process with that configuration."""
    async with open_console() as before, open_console(operators) as after:
        await before.log_in()
        async with after.stranger(**before.cookies()) as client:
            assert 303 == (await client.get("/ops", allow_redirects=False)).status
        async with before.stranger(**before.cookies()) as client:
            assert 200 == (await client.get("/ops", allow_redirects=False)).status


async def test_a_forged_session_is_none(console: Console) -> None:
    """Another key, another name, another purpose, other bytes."""
    async with open_console(key=b"x" * 32) as other:
        await other.log_in()
        cookies = other.cookies()
    await console.log_in()
    own = console.cookies()
    name, made_at, proof = own["payonce_ops"].split(".")
    for forged in (
        cookies["payonce_ops"],
        own["payonce_ops_mark"],
        f"Ym9i.{made_at}.{proof}",
        f"{name}.{int(made_at) + 1}.{proof}",
        f"{name}..{proof}",
        "....",
        "\u00e9.1.2",
    ):
        async with console.stranger() as client:
            headers = {"Cookie": f"payonce_ops={forged}"}
            answer = await client.get("/ops", headers=headers, allow_redirects=False)
            assert 303 == answer.status, forged


async def test_logout_ends_it(inside: Console) -> None:
    """For this browser; without the proof of the form nobody is thrown out."""
    path, csrf = "/ops/logout", await inside.csrf()
    await inside.client.post(path, data={"csrf": "0" * 64}, headers=SAME_SITE)
    assert 200 == (await inside.get("/ops"))[0]
    await inside.client.post(path, data={"csrf": csrf}, headers=SAME_SITE)
    assert 303 == (await inside.get("/ops"))[0]


@pytest.mark.parametrize("path", FORMS)
async def test_a_form_of_another_site_does_nothing(inside: Console, path: str) -> None:
    """Whatever the browser sends along: site, origin, a proof of another session."""
    csrf = await inside.csrf()
    async with open_console(key=b"x" * 32) as other:
        await other.log_in()
        foreign_csrf = await other.csrf()
    data = {"csrf": csrf, "why": "x", "sure": "yes", "payment_id": "p-1", "as": "kept"}
    for headers, fields in (
        ({"Sec-Fetch-Site": "cross-site"}, data),
        ({"Sec-Fetch-Site": "same-site"}, data),
        ({"Origin": "https://evil.example"}, data),
        ({"Origin": "null"}, data),
        ({}, data),
        (SAME_SITE, {**data, "csrf": foreign_csrf}),
        (SAME_SITE, {**data, "csrf": ""}),
    ):
        answer = await inside.client.post(path, data=fields, headers=headers, allow_redirects=False)
        assert 403 == answer.status, headers
    assert ([], [], []) == (inside.books.done, inside.books.noted, inside.board.lines)


@pytest.mark.parametrize("origin", ["http://pay.example", None])
async def test_an_origin_proves_as_much_as_the_browsers_word(
    console: Console, origin: str | None
) -> None:
    """That of the public address, or of the address that was asked."""
    own = str(console.client.make_url("/")).rstrip("/")
    answer = await console.client.post(
        "/ops/login", data={"token": ANN}, headers={"Origin": origin or own}, allow_redirects=False
    )
    assert 303 == answer.status


@pytest.mark.parametrize("path", FORMS)
async def test_a_form_without_a_session_does_nothing(console: Console, path: str) -> None:
    """It leads to the login."""
    answer = await console.client.post(
        path, data={"csrf": "x"}, headers=SAME_SITE, allow_redirects=False
    )
    assert (303, "/ops/login") == (answer.status, answer.headers["Location"])
    assert [] == console.books.done


async def test_wrong_tokens_make_wait_and_the_right_one_waits_too(console: Console) -> None:
    """From one address: after five, a second; then twice as long each time."""
    for _ in range(5):
        assert 401 == (await console.log_in("wrong")).status
    answer = await console.log_in()
    assert (429, "1") == (answer.status, answer.headers["Retry-After"])
    console.now_s[0] += 1
    assert 401 == (await console.log_in("wrong")).status
    assert "2" == (await console.log_in()).headers["Retry-After"]
    console.now_s[0] += 2
    assert 303 == (await console.log_in()).status


async def test_a_session_does_not_wait_nor_a_browser_that_was_in_before(inside: Console) -> None:
    """Others' failures from the same address lock out neither."""
    async with inside.stranger() as stranger:
        for _ in range(20):
            await stranger.post("/ops/login", data={"token": "wrong"}, headers=SAME_SITE)
    assert 200 == (await inside.get("/ops"))[0]
    csrf = await inside.csrf()
    await inside.client.post("/ops/logout", data={"csrf": csrf}, headers=SAME_SITE)
    assert 303 == (await inside.log_in()).status


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
    """The queues are said to be unknown."""
    inside.books.broker_away = True
    status, text = await inside.get("/ops")
    assert 200 == status
    assert "rabbitmq is unavailable: away" in text


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
