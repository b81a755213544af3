"""A page taken apart: its elements with their attributes and words."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_EMPTY = frozenset({"circle", "link", "meta", "path", "rect"})


@dataclass
class Element:
    """One element; `words`: the text in it and below it."""

    tag: str
    attributes: dict[str, str]
    words: str = ""

    def __getitem__(self, name: str) -> str:
        """Return an attribute."""
        return self.attributes[name]


@dataclass
class Page:
    """All elements of a page, in order."""

    text: str
    elements: list[Element] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements of a tag that have these attributes."""
        wanted = attributes.items()
        return [one for one in self.elements if one.tag == tag and wanted <= one.attributes.items()]

    def one(self, tag: str, **attributes: str) -> Element:
        """Return the only such element."""
        [found] = self.all(tag, **attributes)
        return found


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._page.elements.append(element)
        if tag not in _EMPTY:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _EMPTY:
            assert tag == self._open.pop().tag, f"{tag} ends where another element is open"

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.words += data


def read(text: str) -> Page:
    """Return a page; AssertionError where its elements are not closed in order."""
    page = Page(text)
    reader = _Reader(page)
    reader.feed(text)
    reader.close()
    assert [] == reader._open
    for element in page.elements:
        element.words = " ".join(element.words.split())
    return page
