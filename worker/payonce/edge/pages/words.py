"""The words of the checkout page, by language, in `languages/*.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

TAGS = {"en": "en", "zh": "zh-CN"}
"""Language: its tag in HTML, and the name of its file."""

DEFAULT = "en"


@dataclass(frozen=True, slots=True)
class Words:
    """One language's words by key."""

    language: str
    by_key: Mapping[str, str]

    @property
    def tag(self) -> str:
        """The language as HTML names it."""
        return TAGS[self.language]

    def __call__(self, key: str, /, **values: object) -> str:
        """Return the words of a key with their gaps filled. Raises KeyError: there are none."""
        return self.by_key[key].format(**values)


def load_words() -> dict[str, Words]:
    """Return the words of every language."""
    folder = resources.files(__package__).joinpath("languages")
    return {
        language: Words(
            language, tomllib.loads(folder.joinpath(f"{tag}.toml").read_text(encoding="utf-8"))
        )
        for language, tag in TAGS.items()
    }


def choose_language(asked: str | None, accepted: str) -> str:
    """Return the language asked for by name, else the one that Accept-Language puts first."""
    if asked is not None and _language(asked) in TAGS:
        return _language(asked)
    wishes = sorted(map(_wish, accepted.split(",")), key=lambda wish: -wish[1])
    known = [language for language, weight in wishes if language in TAGS and weight > 0]
    return known[0] if known else DEFAULT


def _wish(part: str) -> tuple[str, float]:
    tag, *parameters = part.split(";")
    weight = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            weight = _weight(value)
    return _language(tag), weight


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


def _language(tag: str) -> str:
    return tag.strip().lower().replace("_", "-").partition("-")[0]
