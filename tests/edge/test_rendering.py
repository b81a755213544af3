"""Pages as they are rendered and served, and whether a built payonce has them."""

import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from jinja2 import UndefinedError

from payonce.edge.pages.rendering import PAGE_HEADERS, Pages, file_of
from payonce.edge.problems import problems
from tests.support.ports import HOST, free_port

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "worker" / "payonce" / "edge" / "pages"
MOCK = ROOT / "gateway_mock"
PAGES = Pages()


@asynccontextmanager
async def served() -> AsyncIterator[aiohttp.ClientSession]:
    """Give a session with a server that has the static files."""
    app = web.Application(middlewares=[problems])
    app.add_routes(PAGES.routes())
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, HOST, port).start()
    try:
        async with aiohttp.ClientSession(f"http://{HOST}:{port}") as session:
            yield session
    finally:
        await runner.cleanup()


def test_what_is_put_in_stays_text() -> None:
    """Whatever it is made of."""
    page = PAGES.render("message.html", lang="en", title="<b>&", text='"><script>x</script>')
    assert "<h1>&lt;b&gt;&amp;</h1>" in page
    assert "<script" not in page


def test_a_word_that_a_template_lacks_is_a_fault() -> None:
    """It does not become a hole in the page."""
    with pytest.raises(UndefinedError, match="text"):
        PAGES.render("message.html", lang="en", title="x")


def test_every_page_forbids_what_no_page_needs() -> None:
    """No script or style in it, none from elsewhere, no frame around it; no address leaks."""
    answer = PAGES.answer("message.html", status=401, lang="en", title="x", text="y")
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert (401, "text/html", "utf-8") == (answer.status, answer.content_type, answer.charset)
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} < set(policy)
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "no-referrer" == answer.headers["Referrer-Policy"]
    assert "no-store" == answer.headers["Cache-Control"]
    assert PAGE_HEADERS.items() <= answer.headers.items()


@pytest.mark.parametrize("template", sorted(SOURCE.glob("templates/**/*.html")), ids=str)
def test_no_template_holds_what_the_policy_forbids(template: Path) -> None:
    """The browser would leave it out without a word."""
    text = template.read_text()
    assert " style=" not in text
    assert "<style" not in text
    assert "://" not in text
    assert "|safe" not in text.replace(" ", "")
    assert text.count("<script") == text.count('<script src="{{ static(')


async def test_files_are_served_for_ever() -> None:
    """Under an address that is another one as soon as the content is."""
    async with served() as session, session.get(PAGES.static("base.css")) as answer:
        content = await answer.read()
        assert "public, max-age=31536000, immutable" == answer.headers["Cache-Control"]
        assert "text/css; charset=utf-8" == answer.headers["Content-Type"]
        assert "nosniff" == answer.headers["X-Content-Type-Options"]
    assert (SOURCE / "static" / "base.css").read_bytes() == content
    assert file_of("a.js", b"1").address != file_of("a.js", b"2").address
    assert PAGES.static("base.css") == file_of("base.css", content).address


@pytest.mark.parametrize("name", ["base.css", "base.000000000000.css", "..%2Frendering.py"])
async def test_another_address_is_not_there(name: str) -> None:
    """Neither an old one, nor one outside the folder."""
    async with served() as session, session.get(f"/static/{name}") as answer:
        assert 404 == answer.status


def test_the_wheel_holds_them_all(tmp_path: Path) -> None:
    """An installed payonce has the pages that this one has."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    [wheel] = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    own = {f"gateway_mock/{one.relative_to(MOCK).as_posix()}" for one in files_of(MOCK)}
    assert own | {one.relative_to(ROOT / "worker").as_posix() for one in files_of(SOURCE)} <= held
    assert {
        "payonce/edge/pages/languages/zh-CN.toml",
        "gateway_mock/wallet_page/wallet.html",
    } <= held


def files_of(folder: Path) -> list[Path]:
    """Return what a folder holds besides Python."""
    return [one for one in folder.rglob("*") if one.is_file() and "__pycache__" not in one.parts]
