"""The documents hold what the code holds: links, configuration keys, metrics."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from prometheus_client.metrics import MetricWrapperBase

from payonce.adapters.metrics import Gauges, PrometheusMeter
from payonce.adapters.refund_gauges import RefundGauges
from payonce.domain.risk import Policy
from payonce.settings import load
from payonce.settings.kinds import KINDS
from payonce.settings.sources import OTHER, PREFIX, SERVERS
from payonce.settings.table import Table
from tests.support import alipay, wechatpay

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMERS = ("worker/**/*.py", "gateway_mock/*.py", "config/*", "Dockerfile", "compose.yaml", "dev")

_ALIPAY = alipay.sandbox()

CONFIGURATIONS = {
    "http": """
base_url = "http://gateway.example"
secret = "whsec_cGF5b25jZS1kb2N1bWVudHMtdGVzdHM="
""",
    "paypal": """
client_id = "AXyClient"
client_secret = "a-secret-of-a-client"
webhook_id = "8PT597110X687430L"
""",
    "alipay": f"""
app_id = "{_ALIPAY.app_id}"
seller_id = "{_ALIPAY.seller_id}"
private_key = '''{_ALIPAY.app_pem}'''
public_key = '''{_ALIPAY.alipay_pem}'''
""",
    "stripe": """
secret_key = "sk_test_0123456789abcdef"
webhook_secret = "whsec_AbCdEfGhIjKlMnOpQrStUvWx01234567"
""",
    "wechatpay": "",
}
"""What a gateway of each kind must be told; the first one's defaults are those of the page."""
VARIABLES: dict[str, Callable[[], dict[str, str]]] = {
    "wechatpay": lambda: wechatpay.environment_for(wechatpay.sandbox(), "NAME"),
}
"""The same for kinds that need keys in PEM, as variables."""
INHERITED = {
    "gateways.NAME.ladder": "`poll.ladder`",
    "gateways.NAME.watch_for": "`poll.watch_for`",
}

Value = TypeVar("Value")

_CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
_SCHEME = re.compile(r"[a-z]+:")
_DOCUMENT = re.compile(r"\bdocs/[\w./-]*\w")
_KEY = re.compile(r"[a-z_]+(\.\w+)+")


class RecordingTable(Table):
    """A table of the configuration that tells all tests what was asked of it, and its default."""

    asked: ClassVar[dict[str, object]] = {}

    def get(self, name: str, read: Callable[[str, object], Value], default: object) -> Value:
        """Note the key and its default."""
        self.asked[self.key_of(name)] = default
        return super().get(name, read, default)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Every key that the loader asks for, with its default; None where it must be given."""
    path = tmp_path / "payonce.toml"
    monkeypatch.setattr(load, "Table", RecordingTable)
    asked: dict[str, object] = {}
    for kind, told in CONFIGURATIONS.items():
        monkeypatch.setattr(RecordingTable, "asked", {})
        path.write_text(f'[gateways.NAME]\nkind = "{kind}"\n{told}', encoding="utf-8")
        load.load_settings(VARIABLES.get(kind, dict)(), config_path=path)
        asked = RecordingTable.asked | asked
    return asked


def rows(page: str) -> dict[str, list[str]]:
    """Return the rows of a page's tables by the name in their first cell, which stands as code."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    named = [line.split("|")[1:-1] for line in lines if line.startswith("| `")]
    return {first.split("`")[1]: [cell.strip() for cell in rest] for first, *rest in named}


def links(page: Path) -> list[str]:
    """Return the targets of a page's links to other files; what stands as code links nowhere."""
    prose = _CODE.sub("", page.read_text(encoding="utf-8"))
    targets = [inline or defined for inline, defined in _LINK.findall(prose)]
    return [target for target in targets if not _SCHEME.match(target) and target[0] != "#"]


def leads_somewhere(page: Path, target: str) -> bool:
    """Say whether a relative link leads to a file or folder of this repository."""
    path = (page.parent / target.partition("#")[0]).resolve()
    return path.exists() and path.is_relative_to(ROOT)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    """A reader who follows a link finds what it promises."""
    assert [] == [target for target in links(page) if not leads_somewhere(page, target)]


def reached(page: Path) -> set[Path]:
    """Return the pages that `page` links to, those of linked folders too."""
    targets = [(page.parent / one.partition("#")[0]).resolve() for one in links(page)]
    return {
        path
        for target in targets
        for path in (target.glob("*.md") if target.is_dir() else [target])
        if path in PAGES
    }


def test_every_page_can_be_reached_from_the_readme() -> None:
    """Nobody has to guess that a page is there."""
    found, new = {ROOT / "README.md"}, {ROOT / "README.md"}
    while new:
        new = {path for page in new for path in reached(page)} - found
        found |= new

    assert [] == [str(page.relative_to(ROOT)) for page in PAGES if page not in found]


def test_the_readme_runs_the_image_as_its_page_does() -> None:
    """One example in two places: what the page of containers advises, the first page does too."""
    page = (ROOT / "docs/docker.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^docker run --read-only.*?(?=^```)", page, re.DOTALL | re.MULTILINE)

    assert example in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_guide_quotes_the_example_as_it_is() -> None:
    """Who copies from the page gets what the tests run."""
    page = (ROOT / "docs/integrating.md").read_text(encoding="utf-8")
    quoted = re.findall(r"```python\n(.*?)\n```", page, re.DOTALL)
    code = [path.read_text(encoding="utf-8") for path in (ROOT / "examples").rglob("*.py")]

    assert len(quoted) >= 5
    assert [] == [one for one in quoted if not any(one in text for text in code)]


def test_every_document_that_the_code_names_exists() -> None:
    """An error or a comment sends nobody to a page that is not there."""
    files = [path for pattern in NAMERS for path in ROOT.glob(pattern) if path.is_file()]
    named = {name for path in files for name in _DOCUMENT.findall(path.read_text(encoding="utf-8"))}

    assert "docs/configuration.md" in named
    assert [] == sorted(name for name in named if not (ROOT / name).exists())


def test_every_kind_of_gateway_is_documented() -> None:
    """Its keys are asked for here, and it has a section of its own."""
    page = (ROOT / "docs/gateways.md").read_text(encoding="utf-8")

    assert set(KINDS) == set(CONFIGURATIONS)
    assert [] == [kind for kind in KINDS if f"`{kind}`" not in page]


def test_every_configuration_key_is_documented(asked: dict[str, object]) -> None:
    """The page holds the keys that the loader asks for, and no others."""
    documented = {name for name in rows("docs/configuration.md") if _KEY.fullmatch(name)}

    assert set(asked) == documented


def test_every_default_is_documented(asked: dict[str, object]) -> None:
    """The page says what a key means that nobody sets."""
    documented = rows("docs/configuration.md")
    expected = {
        key: "required" if default is None else f"`{json.dumps(default)}`"
        for key, default in asked.items()
    }

    assert expected | INHERITED == {key: documented[key][0] for key in asked}


def test_every_variable_outside_the_file_is_documented() -> None:
    """The servers stand there with their defaults, the other variables by name."""
    documented = rows("docs/configuration.md")

    assert {PREFIX + name: f"`{default}`" for name, default in SERVERS.items()} == {
        PREFIX + name: documented[PREFIX + name][0] for name in SERVERS
    }
    assert set() == {PREFIX + name for name in OTHER} - set(documented)


def registered() -> dict[str, list[str]]:
    """Return kind and labels of each metric, by its name, as the page writes them."""
    registry = PrometheusMeter().registry
    nobody: Any = None
    Gauges(registry, nobody, nobody, nobody)
    RefundGauges(registry, nobody, Policy(True, {}, {}, 0, 0), nobody)
    found: dict[str, list[str]] = {}
    for metric in registry._collector_to_names:
        assert isinstance(metric, MetricWrapperBase)
        kind, labels = str(metric._type), ", ".join(f"`{one}`" for one in metric._labelnames)
        name = f"{metric._name}_total" if kind == "counter" else metric._name
        found[name] = [kind, labels or "none"]
    return found


def test_every_metric_is_documented() -> None:
    """The page holds each metric with its kind and labels, and no other."""
    documented = rows("docs/metrics.md")

    assert registered() == {name: documented[name][:2] for name in documented}
