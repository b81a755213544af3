"""Our ids as Alipay's numbers, and back.

Its out_trade_no has 1 to 64 letters, digits and `_` (opendocs.alipay.com, alipay.trade.precreate).
Our ids have up to 64 of `A-Z a-z 0-9 _ . : -` and begin with a letter or a digit, so that a number
which begins with `_` is one that was made here:

- letters, digits and `_` alone, payonce's own payments too: itself, so that a shop which makes its
  trades by itself may call its payments as its trades are called there;
- any other: `_` and the id with `_` written `__`, `.` written `_d`, `:` written `_c`, `-` written
  `_m`;
- where that has more than 64: `__` and 52 letters and digits of a hash. The way back is the trade's
  `body`, which carries our id and which Alipay repeats.

An out_request_no may have other characters too; it is written in the same way.
"""

import base64
import hashlib
import re

from payonce.domain.errors import InvalidField
from payonce.domain.ids import check_id

LONGEST = 64
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
_WRITTEN = {"_": "__", ".": "_d", ":": "_c", "-": "_m"}
_READ = {written: one for one, written in _WRITTEN.items()}
_HASHED = re.compile(r"__[a-z2-7]{52}")


def number_of(our_id: str) -> str:
    """Return the number of a payment or a refund."""
    if _PLAIN.fullmatch(our_id):
        return our_id
    escaped = "_" + "".join(_WRITTEN.get(one, one) for one in our_id)
    if len(escaped) <= LONGEST:
        return escaped
    digest = hashlib.sha256(our_id.encode()).digest()
    return "__" + base64.b32encode(digest).decode().rstrip("=").lower()


def id_of(number: str, body: str | None = None, field: str = "out_trade_no") -> str:
    """Return the id of a number, with the trade's body. Raises InvalidField."""
    if _HASHED.fullmatch(number):
        our_id = body or ""
    elif number.startswith("_"):
        our_id = re.sub("_.", lambda pair: _READ.get(pair.group(), pair.group()), number[1:])
    else:
        our_id = number
    check_id(our_id, field)
    if number_of(our_id) != number:
        raise InvalidField(field, f"{number[:64]!r} is none of ours", "one made from an id")
    return our_id


def refund_of(number: str) -> str:
    """Return the refund of an out_request_no; of one that is not ours, the number itself."""
    try:
        return id_of(number)
    except InvalidField:
        return number
