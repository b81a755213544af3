"""Our ids as WeChat Pay's numbers, and back.

Its out_trade_no has 6 to 32 of `0-9 A-Z a-z _ - | *`, its out_refund_no 1 to 64 of these and `@`
(pay.weixin.qq.com, pages "Native" and "refunds"). Our ids have up to 64 of `A-Z a-z 0-9 _ . : -`
and begin with a letter or a digit, so a number that begins otherwise is one that was made here:

- `p_` and 32 hex digits, payonce's own payments: `_` and the same in base 32, 26 characters;
- shorter than 6: filled up with `_` in front;
- longer than 32: `-` and 31 letters and digits of a hash. The way back is the order's `attach`,
  which carries our id and which WeChat Pay repeats;
- any other: itself, so that a shop that creates charges by itself may call its payments as its
  orders are called there.

`.` is written `*`, and `:` is written `|`.
"""

import base64
import hashlib
import re

from payonce.domain.errors import InvalidField
from payonce.domain.ids import check_id

SHORTEST, LONGEST = 6, 32
_OWN = re.compile(r"p_[0-9a-f]{32}")
_OWN_NUMBER = re.compile(r"_[a-z2-7]{26}")
_OWN_BYTES = 16
_HASHED = "-"
_WRITTEN = str.maketrans(".:", "*|")
_READ = str.maketrans("*|", ".:")


def trade_number(payment_id: str) -> str:
    """Return the out_trade_no of a payment."""
    if _OWN.fullmatch(payment_id):
        return f"_{_base32(bytes.fromhex(payment_id.removeprefix('p_')))}"
    if len(payment_id) > LONGEST:
        digest = hashlib.sha256(payment_id.encode()).digest()
        return _HASHED + _base32(digest)[: LONGEST - 1]
    return payment_id.translate(_WRITTEN).rjust(SHORTEST, "_")


def payment_of(number: str, attach: str | None) -> str:
    """Return the payment of an out_trade_no, with the order's attach. Raises InvalidField."""
    if _OWN_NUMBER.fullmatch(number):
        raw = base64.b32decode(f"{number[1:].upper()}======")
        payment_id = f"p_{raw.hex()}"
    elif number.startswith(_HASHED):
        payment_id = attach or ""
    else:
        payment_id = number.lstrip("_").translate(_READ)
    check_id(payment_id, "out_trade_no")
    if trade_number(payment_id) != number:
        raise InvalidField(
            "out_trade_no", f"{number[:40]!r} is no payment's", "one made from an id"
        )
    return payment_id


def refund_number(refund_id: str) -> str:
    """Return the out_refund_no of a refund."""
    return refund_id.translate(_WRITTEN)


def refund_of(number: str) -> str:
    """Return the refund of an out_refund_no; of one that is not ours, some name."""
    return number.translate(_READ)


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()
