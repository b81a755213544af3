"""What a shopper does with a charge, and how the gateway behaves about it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import NoneType
from typing import Any


@dataclass(frozen=True, slots=True)
class Script:
    """How one charge goes. Times in seconds after its creation; None: never.

    `pays_after_queries`: paid once it was asked about so often. `pays_though_closed`: the money
    arrives also after a close or the expiry. `missing_until_s`: not known before. `reports_*`: what
    the gateway says instead of the truth. `faults`: one per query, in order: "500", "timeout",
    "nonsense", "429", "503", "ok". `callbacks`: "once", "twice", "lost".

    `refunds`: the status of its refunds; where it is "pending", `refunds_turn` is what they turn to
    `refunds_turn_after_s` later. `refund_faults`: one per call that refunds: "cut" (the answer is
    cut off), "500" and "timeout" after it took effect; "refused", "unheard" (500), "429" and "503"
    without any effect; "ok". `refunds_forgotten_after_s`: so much later the gateway knows nothing
    of a refund: the same id again sends the money again. `closes`: "truly", or "lies": it says
    closed, and is not; "paying": it is not now, the shopper is about to pay (WeChat Pay alone).
    "abnormal": a refund whose money left the shop and did not arrive (WeChat Pay alone).

    `voucher_after_s`: from then on the shopper holds a voucher, which no close takes back.
    `pays_on_close`: the shopper is quicker than the close that comes.

    Where money is captured, "paid" means approved. `captures`: what a capture comes to,
    "completed", "pending" or "declined"; a pending one turns to `captures_turn`
    `captures_turn_after_s` later. `capture_faults`: one per call that captures: "500", "timeout"
    and "cut" before it takes effect, with "-after" afterwards; "declined" (the shopper's instrument
    is, without any effect), "429", "503"; "ok".

    `scanned_after_s`: from then on there is a trade; None: from the payment on. `finishes_after_s`:
    so long after the payment it cannot be refunded any more. `tells_paid_at`: a query tells when it
    was paid.
    """

    pays_after_s: float | None = None
    declines_after_s: float | None = None
    pays_after_queries: int | None = None
    pays_though_closed: bool = False
    missing_until_s: float = 0.0
    reports_amount: int | None = None
    reports_currency: str | None = None
    reports_refunded: int = 0
    refunds: str = "succeeded"
    refunds_turn: str | None = None
    refunds_turn_after_s: float = 0.0
    refunds_forgotten_after_s: float | None = None
    refund_faults: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    create_faults: tuple[str, ...] = ()
    create_latency_ms: float = 0.0
    closes: str = "truly"
    reports_ref: str | None = None
    latency_ms: float = 0.0
    callbacks: str = "once"
    callback_delay_s: float = 0.0
    voucher_after_s: float | None = None
    pays_on_close: bool = False
    captures: str = "completed"
    captures_turn: str | None = None
    captures_turn_after_s: float = 0.0
    capture_faults: tuple[str, ...] = ()
    scanned_after_s: float | None = None
    finishes_after_s: float | None = None
    tells_paid_at: bool = True


_Kinds = dict[str, tuple[type, ...]]

_NUMBER = (int, float)
_SCRIPT_KINDS: _Kinds = {
    "pays_after_s": (*_NUMBER, NoneType),
    "declines_after_s": (*_NUMBER, NoneType),
    "pays_after_queries": (int, NoneType),
    "pays_though_closed": (bool,),
    "missing_until_s": _NUMBER,
    "reports_amount": (int, NoneType),
    "reports_currency": (str, NoneType),
    "reports_refunded": (int,),
    "refunds": (str,),
    "refunds_turn": (str, NoneType),
    "refunds_turn_after_s": _NUMBER,
    "refunds_forgotten_after_s": (*_NUMBER, NoneType),
    "refund_faults": (list, tuple),
    "faults": (list, tuple),
    "create_faults": (list, tuple),
    "create_latency_ms": _NUMBER,
    "closes": (str,),
    "reports_ref": (str, NoneType),
    "latency_ms": _NUMBER,
    "callbacks": (str,),
    "callback_delay_s": _NUMBER,
    "voucher_after_s": (*_NUMBER, NoneType),
    "pays_on_close": (bool,),
    "captures": (str,),
    "captures_turn": (str, NoneType),
    "captures_turn_after_s": _NUMBER,
    "capture_faults": (list, tuple),
    "scanned_after_s": (*_NUMBER, NoneType),
    "finishes_after_s": (*_NUMBER, NoneType),
    "tells_paid_at": (bool,),
}
FAULTS = frozenset({"ok", "500", "timeout", "nonsense", "429", "503"})
REFUND_FAULTS = frozenset({"ok", "cut", "500", "timeout", "refused", "unheard", "429", "503"})
CREATE_FAULTS = FAULTS | {"refused", "500-after", "timeout-after", "nonsense-after"}
CAPTURE_FAULTS = frozenset(
    {"ok", "500", "timeout", "cut", "500-after", "timeout-after", "cut-after", "declined"}
) | {"429", "503"}
_FAULTS = {
    "faults": FAULTS,
    "refund_faults": REFUND_FAULTS,
    "create_faults": CREATE_FAULTS,
    "capture_faults": CAPTURE_FAULTS,
}
_CHOICES: dict[str, frozenset[str | None]] = {
    "closes": frozenset({"truly", "lies", "paying"}),
    "refunds": frozenset({"succeeded", "pending", "failed", "abnormal"}),
    "refunds_turn": frozenset({None, "succeeded", "failed", "abnormal"}),
    "callbacks": frozenset({"once", "twice", "lost"}),
    "captures": frozenset({"completed", "pending", "declined"}),
    "captures_turn": frozenset({None, "completed", "declined"}),
}


def parse_script(data: Mapping[str, Any]) -> Script:
    """Return the script that `data` describes. Raises ValueError, naming the field."""
    _check(data, _SCRIPT_KINDS)
    script = replace(Script(), **data)
    script = replace(
        script,
        faults=tuple(script.faults),
        refund_faults=tuple(script.refund_faults),
        create_faults=tuple(script.create_faults),
        capture_faults=tuple(script.capture_faults),
    )
    for name, known in _FAULTS.items():
        if any(fault not in known for fault in map(str, getattr(script, name))):
            raise ValueError(f"{name}: known are {', '.join(sorted(known))}")
    for name, allowed in _CHOICES.items():
        if getattr(script, name) not in allowed:
            raise ValueError(f"{name}: known are {', '.join(sorted(filter(None, allowed)))}")
    return script


@dataclass
class Profile:
    """How charges without a script of their own go, by chance.

    `scripts` holds (weight, script); `error_percent`, `timeout_percent` and
    `nonsense_percent` befall any query; `lost_percent` and `doubled_percent` befall callbacks.
    """

    scripts: tuple[tuple[float, Script], ...] = ((1.0, Script()),)
    pay_spread_s: float = 0.0
    error_percent: float = 0.0
    timeout_percent: float = 0.0
    nonsense_percent: float = 0.0
    lost_percent: float = 0.0
    doubled_percent: float = 0.0
    latency_ms: float = 0.0
    can_close: bool = True
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    def draw_script(self) -> Script:
        """Return a script by weight; its payment comes up to `pay_spread_s` later."""
        weights = [weight for weight, _ in self.scripts]
        script = self.chance.choices([one for _, one in self.scripts], weights)[0]
        if script.pays_after_s is None:
            return script
        return replace(
            script, pays_after_s=script.pays_after_s + self.chance.random() * self.pay_spread_s
        )

    def draw_fault(self) -> str:
        """Return what befalls a query."""
        at = self.chance.random() * 100
        for fault, percent in (
            ("500", self.error_percent),
            ("timeout", self.timeout_percent),
            ("nonsense", self.nonsense_percent),
        ):
            if at < percent:
                return fault
            at -= percent
        return "ok"

    def draw_callbacks(self, script: Script) -> str:
        """Return what becomes of a callback: "once", "twice" or "lost"."""
        if script.callbacks != "once":
            return script.callbacks
        at = self.chance.random() * 100
        if at < self.lost_percent:
            return "lost"
        return "twice" if at < self.lost_percent + self.doubled_percent else "once"


_PROFILE_KINDS: _Kinds = {
    "scripts": (list, tuple),
    "pay_spread_s": _NUMBER,
    "error_percent": _NUMBER,
    "timeout_percent": _NUMBER,
    "nonsense_percent": _NUMBER,
    "lost_percent": _NUMBER,
    "doubled_percent": _NUMBER,
    "latency_ms": _NUMBER,
    "can_close": (bool,),
    "seed": (int,),
}


def parse_profile(data: Mapping[str, Any]) -> Profile:
    """Return the profile that `data` describes. Raises ValueError, naming the field."""
    _check(data, _PROFILE_KINDS)
    values = dict(data)
    seed = values.pop("seed", 1)
    scripts = values.pop("scripts", None)
    profile = Profile(**values, chance=random.Random(seed))
    if scripts is not None:
        profile.scripts = tuple(_weighted(one) for one in scripts)
        if not sum(weight for weight, _ in profile.scripts) > 0:
            raise ValueError("scripts: no script has a weight above 0")
    return profile


def _weighted(data: Mapping[str, Any]) -> tuple[float, Script]:
    _check(data, {**_SCRIPT_KINDS, "weight": _NUMBER})
    weight = data.get("weight", 1.0)
    if not weight >= 0:
        raise ValueError(f"weight: {weight!r} is below 0")
    return weight, parse_script({name: one for name, one in data.items() if name != "weight"})


def _check(data: Mapping[str, Any], kinds: _Kinds) -> None:
    """Raise ValueError unless `data` is an object of known names with values of their kinds."""
    if not isinstance(data, Mapping):
        raise ValueError(f"{data!r:.60} is not an object")  # noqa: TRY004 - all is a ValueError
    for name, value in data.items():
        if name not in kinds:
            raise ValueError(f"{name} is unknown; known: {', '.join(sorted(kinds))}")
        if not isinstance(value, kinds[name]) or (type(value) is bool and bool not in kinds[name]):
            raise ValueError(f"{name}: {value!r:.60} is not of the right kind")
