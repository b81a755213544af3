"""What a shopper scans or opens."""

from functools import lru_cache
from urllib.parse import urlsplit

import segno
from markupsafe import Markup

MOST_KEPT = 1_024
"""Codes that are kept, 20 KiB each at most."""

QUIET_ZONE = 4
"""Empty modules around a code, as ISO/IEC 18004 wants them."""

_RUN_BY_BROWSERS = frozenset({"about", "blob", "data", "file", "javascript", "vbscript"})


@lru_cache(maxsize=MOST_KEPT)
def code_of(content: str) -> Markup | None:
    """Return the QR code of `content` as an SVG element; None: it is too long for one.

    Drawing takes up to a tenth of a second of CPU: a page that is loaded again draws nothing.
    """
    try:
        code = segno.make_qr(content, error="m")
    except segno.DataOverflowError:
        return None
    drawn = code.svg_inline(border=QUIET_ZONE, dark="#000", light="#fff", omitsize=True)
    # segno writes numbers and our own colours alone, never the content. The page says what it is.
    return Markup(drawn.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))  # noqa: S704


def link_of(address: str | None) -> str | None:
    """Return an address that may stand in a link: the web's, or an app's; else None."""
    try:
        scheme = urlsplit(address or "").scheme
    except ValueError:
        return None
    return address if scheme and scheme not in _RUN_BY_BROWSERS else None
