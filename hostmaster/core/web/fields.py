"""Types and bases that the schemas of several apps share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from ninja import Field, Schema
from pydantic import AfterValidator, AwareDatetime, ConfigDict

EXAMPLE_ID = "0190d5b4-7a3c-4f6e-9b1d-2c8e5a7f4d10"

Version = Annotated[
    int,
    Field(
        ge=1,
        le=2**31 - 1,
        description="The version you read; 409 when somebody changed the row since.",
        examples=[3],
    ),
]


def _in_reach(instant: datetime) -> datetime:
    # Beyond, the conversion to UTC overflows.
    if not 1970 <= instant.year <= 9000:
        raise ValueError("An instant lies between the years 1970 and 9000.")
    return instant.astimezone(UTC)  # PostgreSQL takes no offset of 16 hours, Python one of 23


Instant = Annotated[AwareDatetime, AfterValidator(_in_reach)]


class Input(Schema):
    """A body: a field nobody knows is refused instead of ignored."""

    model_config = ConfigDict(extra="forbid")
