"""The console over HTTP: who gets in, what is refused, what is shown of hostile words."""

import pytest
from structlog.testing import capture_logs

from tests.support.console import (
    ANN,
    AT,
    HOSTILE,
    ORDER,
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


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("problems", "None has a problem."),
        ("unprocessed", "All are applied."),
        ("all", "No callback has come."),
    ],
)
async def test_an_empty_list_of_callbacks_says_what_that_means(
    inside: Console, which: str, words: str
) -> None:
    """By what was asked for; the page tells the zone of its times."""
    _, text = await inside.get(f"/ops/webhooks?which={which}")
    assert words in text
    assert 1 == text.count("Times are UTC.")


async def test_what_cannot_be_shown_is_called_so(inside: Console) -> None:
    """Nothing was to be done."""
    answer = await inside.client.get("/ops/webhooks?which=bad")
    text = await answer.text()
    assert 422 == answer.status
    assert "<title>Not shown · payonce</title>" in text
    assert "Not done" not in text


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


ODD_FORMS = [
    ("application/x-www-form-urlencoded; charset=nonexistent", b"token=secret"),
    ("application/x-www-form-urlencoded; charset=rot13", b"token=secret"),
    ("application/x-www-form-urlencoded; charset=utf-16", b"token=secret!"),
    ("application/x-www-form-urlencoded", b"token=secret\xff"),
    ("application/x-www-form-urlencoded", b"&token=secret" * 200),
    ("multipart/form-data; boundary=b", b"--b\r\nsecret\r\n"),
    ("multipart/form-data", b"token=secret"),
    (
        "multipart/form-data; boundary=b",
        (
            b"--b\r\nContent-Disposition: form-data; name=token\r\n"
            b"Content-Transfer-Encoding: secret\r\n\r\nsecret\r\n--b--\r\n"
        ),
    ),
]


@pytest.mark.parametrize(("kind", "body"), ODD_FORMS, ids=range(len(ODD_FORMS)))
async def test_an_odd_form_is_refused_and_nothing_of_it_is_logged(
    console: Console, kind: str, body: bytes
) -> None:
    """Whatever charset or encoding it names: no fault of ours, no token in the log."""
    with capture_logs() as lines:
        answer = await console.client.post(
            "/ops/login", data=body, headers={**SAME_SITE, "Content-Type": kind}
        )
    assert answer.status in {401, 422}
    assert "request.failed" not in [one["event"] for one in lines]
    assert "secret" not in str(lines)


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//]"])
async def test_an_origin_that_is_no_address_is_foreign(console: Console, origin: str) -> None:
    """403, as every other one."""
    answer = await console.client.post(
        "/ops/login", data={"token": ANN}, headers={"Origin": origin}, allow_redirects=False
    )
    assert 403 == answer.status
