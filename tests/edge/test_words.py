"""Languages, amounts, channels and codes of the checkout page."""

import re
from pathlib import Path

import pytest
import segno

from payonce.edge.pages import checkout, panel
from payonce.edge.pages.amounts import format_amount
from payonce.edge.pages.channels import KNOWN_KINDS, channels_of
from payonce.edge.pages.codes import code_of, link_of
from payonce.edge.pages.words import Words, choose_language, load_words

WORDS = load_words()
TEMPLATES = Path(checkout.__file__).parent / "templates" / "checkout"


def gaps(words: Words) -> dict[str, set[str]]:
    """Return the gaps that each key's words leave."""
    return {key: set(re.findall(r"\{(.*?)\}", text)) for key, text in words.by_key.items()}


def used() -> set[str]:
    """Return every key that templates and code can ask for."""
    text = "".join(one.read_text() for one in TEMPLATES.glob("*.html"))
    literal = set(re.findall(r'\bt\("([a-z.-]+)"[,)]', text))
    return {
        *literal,
        *(f"{state}.{part}" for state in panel.State for part in ("title", "text")),
        *(f"refund.{words}" for words in panel.REFUND_WORDS.values()),
        *(f"notice.{notice}" for notice in checkout.NOTICES),
        *(f"channel.{kind}" for kind in KNOWN_KINDS),
        *(f"{page}.{part}" for page in ("no-access", "away") for part in ("title", "text")),
    }


def test_both_languages_have_the_same_words() -> None:
    """With the same gaps in them."""
    assert gaps(WORDS["en"]) == gaps(WORDS["zh"])


def test_every_word_asked_for_is_there() -> None:
    """And none is there that nobody asks for."""
    assert used() == set(WORDS["en"].by_key)


@pytest.mark.parametrize(
    ("asked", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "en-GB;q=0.8, zh-Hant-TW;q=0.9", "zh"),
        (None, "fr, de;q=0.9, zh;q=0.1", "zh"),
        (None, "zh;q=0, en;q=0.1", "en"),
        (None, "zh;q=nonsense", "en"),
        (None, "fr", "en"),
        ("zh-CN", "en", "zh"),
        ("en", "zh", "en"),
        ("xx", "zh", "zh"),
    ],
)
def test_the_language_is_the_one_asked_for(asked: str | None, accepted: str, language: str) -> None:
    """By name, else by what the browser says, else English."""
    assert language == choose_language(asked, accepted)


@pytest.mark.parametrize(
    ("amount", "currency", "english", "chinese"),
    [
        (1999, "CNY", "CN¥19.99", "¥19.99"),
        (1, "CNY", "CN¥0.01", "¥0.01"),
        (123456789, "USD", "$1,234,567.89", "US$1,234,567.89"),
        (1999, "JPY", "¥1,999", "JP¥1,999"),
        (50000, "VND", "₫50,000", "₫50,000"),
        (1999, "KWD", "KWD\N{NO-BREAK SPACE}1.999", "KWD\N{NO-BREAK SPACE}1.999"),
        (2**53 - 1, "EUR", "€90,071,992,547,409.91", "€90,071,992,547,409.91"),
        (1999, "QQQ", "1,999\N{NO-BREAK SPACE}QQQ", "1,999\N{NO-BREAK SPACE}QQQ"),
    ],
)
def test_amounts(amount: int, currency: str, english: str, chinese: str) -> None:
    """Sign, grouping, and the currency's own decimals; what is unknown is not divided."""
    assert english == format_amount(amount, currency, "en")
    assert chinese == format_amount(amount, currency, "zh")


def test_channels_are_called_as_shoppers_know_them() -> None:
    """By the configuration's label, else by their kind; two alike are told apart."""
    kinds = [
        ("wx", "wechatpay", ""),
        ("ali-a", "alipay", ""),
        ("ali-b", "alipay", ""),
        ("pp", "paypal", "Pay<Pal>"),
        ("mock", "http", ""),
    ]
    named = [one.named(WORDS["zh"]).label for one in channels_of(kinds).values()]
    assert ["微信支付", "支付宝 (ali-a)", "支付宝 (ali-b)", "Pay<Pal>", "mock"] == named


def test_a_code_holds_what_is_to_be_scanned() -> None:
    """Drawn without a style, on white."""
    drawn = code_of("weixin://pay?x=<>&\"'")
    plain = segno.make_qr("weixin://pay?x=<>&\"'", error="m")
    assert drawn is not None
    [path] = re.findall(r' d="(M[^"]+)"', drawn)[-1:]
    assert path in plain.svg_inline(border=4)
    assert "weixin" not in drawn
    assert "style" not in drawn
    assert '"#fff"' in drawn


def test_too_much_for_a_code_is_no_code() -> None:
    """The link is left."""
    assert code_of("x" * 3000) is None


@pytest.mark.parametrize(
    ("address", "is_link"),
    [
        ("https://pay.example/1", True),
        ("weixin://wxpay/x", True),
        ("alipays://platformapi/x", True),
        ("javascript:alert(1)", False),
        ("JavaScript:alert(1)", False),
        ("data:text/html,x", False),
        ("//pay.example", False),
        ("http://[", False),
        ("", False),
        (None, False),
    ],
)
def test_what_may_be_opened(address: str | None, is_link: bool) -> None:
    """The web and apps; nothing that a browser would run."""
    assert (address if is_link else None) == link_of(address)
