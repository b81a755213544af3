"""No secret is ever told: not by an error, not by a repr."""

from pathlib import Path
from typing import Any

import pytest

from payonce.domain.errors import BadSettings
from payonce.settings import Secret
from payonce.settings.load import load_settings
from tests.settings.reading import SECRET, SMALLEST, read, refusal

HIDDEN = "hunter2"
HIDDEN_KEY = SECRET.removeprefix("whsec_").rstrip("=")

SLIPS: list[dict[str, str]] = [
    {"GATEWAYS__MOCK__SECRET": HIDDEN},
    {"GATEWAYS__MOCK__SECRET": f"whsec_{HIDDEN}"},
    {"GATEWAYS__MOCK__SECRET": f'["{SECRET}", "{HIDDEN}"]'},
    {"GATEWAYS__MOCK__SECRET": f'["{SECRET}", "{HIDDEN}"'},
    {"GATEWAYS__MOCK__SECRET": f'{{"new": "{HIDDEN}"}}'},
    {"GATEWAYS__MOCK__SECRETS": HIDDEN},
    {"GATEWAYS__MOCK__SECRET__NEW": HIDDEN},
    {"GATEWAYS__MOCK": HIDDEN},
    {"GATEWAYS": f'{{"mock": {{"secret": "{HIDDEN}"}}'},
    {"ORDER_SERVICE__SECRET": HIDDEN},
    {"ORDER_SERVICE__SECRET": f'["{HIDDEN}"]'},
    {"ORDER_SERVICE": HIDDEN},
    {"HTTP__API_TOKEN": f'["{HIDDEN}"]'},
    {"HTTP_API_TOKEN": HIDDEN},
    {"API_TOKEN": HIDDEN},
    {"HTTP__OPERATORS": HIDDEN},
    {"HTTP__OPERATORS": f'{{"ann": "{HIDDEN}"'},
    {"HTTP__OPERATORS": f'["{HIDDEN}"]'},
    {"HTTP__OPERATORS__ANN": f'["{HIDDEN}"]'},
    {"HTTP__OPERATORS__ANN__TOKEN": HIDDEN, "HTTP__OPERATORS__ANN": HIDDEN},
    {"BROKER__MANAGEMENT_URL": f"htp://u:{HIDDEN}@mq"},
    {"ORDER_SERVICE__NOTIFY_URL": f"https://u:{HIDDEN}@o:99999/"},
    {"GATEWAYS__MOCK__BASE_URL": f"//u:{HIDDEN}@g"},
    {"POSTGRES_DSN": f"postgres//u:{HIDDEN}@h/db"},
    {"POSTGRES_DSN": f"postgresql://u:{HIDDEN}@h:port/db"},
    {"AMQP_URL": f"http://u:{HIDDEN}@h"},
    {"REDIS_URL": f"redis:/:{HIDDEN}@h"},
]


@pytest.mark.parametrize("slip", SLIPS, ids=["-".join(one) for one in SLIPS])
def test_no_error_tells_a_secret(tmp_path: Path, slip: dict[str, str]) -> None:
    """However a secret is misplaced or misspelt, the error keeps it."""
    error = refusal(tmp_path, **slip)

    assert HIDDEN not in str(error)
    assert HIDDEN_KEY not in str(error)


@pytest.mark.parametrize("slip", SLIPS[:6], ids=["-".join(one) for one in SLIPS[:6]])
def test_no_error_tells_what_a_secret_file_holds(tmp_path: Path, slip: dict[str, str]) -> None:
    """The same holds for what was read from a file."""
    ((name, value),) = slip.items()
    (tmp_path / "secret").write_text(value)
    error = refusal(tmp_path, **{f"{name}_FILE": str(tmp_path / "secret")})

    assert HIDDEN not in str(error)


@pytest.mark.parametrize(
    "line",
    [
        f"secret = {HIDDEN}",
        f'secret = "{HIDDEN}',
        f"api_token = '{HIDDEN}\"",
        f'api_token "{HIDDEN}"',
        f'a = "1" "{HIDDEN}"',
    ],
)
def test_no_slip_in_the_file_tells_a_secret(tmp_path: Path, line: str) -> None:
    """A line that is no TOML is told by its number, not by what stands in it."""
    assert HIDDEN not in str(refusal(tmp_path, f"{SMALLEST}[http]\n{line}\n"))


def test_no_error_has_a_cause_that_tells(tmp_path: Path) -> None:
    """A traceback of a refused secret shows no foreign error that quotes it."""
    path = tmp_path / "payonce.toml"
    path.write_text(SMALLEST)
    environ = {"PAYONCE_CONFIG": str(path), "PAYONCE_GATEWAYS__MOCK__SECRET": f"whsec_{HIDDEN}"}
    with pytest.raises(BadSettings) as caught:
        load_settings(environ)

    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


def test_settings_show_no_secret(tmp_path: Path) -> None:
    """Settings in a log or a traceback show neither passwords nor tokens nor keys."""
    settings = read(
        tmp_path,
        POSTGRES_DSN=f"postgresql://u:{HIDDEN}@h/db",
        AMQP_URL=f"amqp://u:{HIDDEN}@h/",
        REDIS_URL=f"redis://:{HIDDEN}@h/0",
        HTTP__API_TOKEN=HIDDEN,
        HTTP__OPERATORS__ANN=HIDDEN + "-of-ann",
        ORDER_SERVICE__SECRET=SECRET,
        BROKER__MANAGEMENT_URL=f"http://u:{HIDDEN}@mq:15672",
    )

    assert HIDDEN not in repr(settings)
    assert HIDDEN_KEY not in repr(settings)


@pytest.mark.parametrize("shown", [repr, str, "{}".format, "{!r:>9}".format])
def test_secret_shows_stars(shown: Any) -> None:
    """Whatever turns a secret into text gets stars."""
    assert "Secret(***)" == shown(Secret(HIDDEN))


def test_secrets_are_compared_by_what_they_hold() -> None:
    """Two secrets of the same text are equal and found in sets; an empty one is false."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert 1 == len({Secret("a"), Secret("a")})
    assert (True, False) == (bool(Secret("a")), bool(Secret("")))
    assert HIDDEN == Secret(HIDDEN).reveal()
