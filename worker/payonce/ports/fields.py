"""Fields as the outside sees them: what the documents say of each, in one place."""

from typing import Annotated

from msgspec import Meta

from payonce.domain.ids import ALLOWED_ID
from payonce.domain.money import EXPONENTS, MAX_AMOUNT

LONGEST_WHY = 500
LONGEST_NAME = 64

Id = Annotated[str, Meta(pattern=f"^{ALLOWED_ID}$")]

PaymentId = Annotated[Id, Meta(examples=["p-1"])]

OrderId = Annotated[Id, Meta(examples=["o-1"])]

RefundId = Annotated[Id, Meta(examples=["rf-5a0e7a4c-3f5d-5f0b-8f43-2f0c7e1b9d11"])]

Gateway = Annotated[
    str, Meta(description="A gateway's name in the configuration.", examples=["mock"])
]

Amount = Annotated[
    int, Meta(description="Minor units of the currency.", ge=1, le=MAX_AMOUNT, examples=[1999])
]

Currency = Annotated[str, Meta(description="ISO 4217.", pattern="^[A-Z]{3}$", examples=["CNY"])]

KnownCurrency = Annotated[
    str,
    Meta(
        description="ISO 4217.",
        examples=["CNY"],
        extra_json_schema={"enum": sorted(EXPONENTS)},
    ),
]

Time = Annotated[
    str,
    Meta(
        description="RFC 3339, in UTC.",
        examples=["2026-01-31T08:00:00.000Z"],
        extra_json_schema={"format": "date-time"},
    ),
]

GivenTime = Annotated[
    str,
    Meta(
        description="RFC 3339 with a zone.",
        examples=["2026-01-31T10:00:00Z"],
        extra_json_schema={"format": "date-time"},
    ),
]

GatewayRef = Annotated[
    str,
    Meta(
        description="The gateway's own id of the charge; belongs to one payment.",
        min_length=1,
        max_length=255,
    ),
]

Count = Annotated[int, Meta(ge=0)]

Version = Annotated[int, Meta(description="Grows with every change of the order.", ge=0)]

Why = Annotated[
    str,
    Meta(
        description="One line of printable text, for the timeline.",
        min_length=1,
        max_length=LONGEST_WHY,
        examples=["the shopper sent it back"],
    ),
]

Cursor = Annotated[
    str | None, Meta(description="What the next page is asked with; null: there is none.")
]
