"""Types and descriptions that several schemas of the scans API share."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from ninja import Field, Schema
from pydantic import SecretStr

from hostmaster.core.web.fields import Input

EXAMPLE_NUMBER = "123456789012"

Region = Annotated[
    str, Field(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$", max_length=40, examples=["eu-west-1"])
]
Regions = Annotated[
    list[Region], Field(max_length=100, description="Empty: every region enabled in the account.")
]
Name = Annotated[str, Field(min_length=1, max_length=100, examples=["Production"])]
RoleArn = Annotated[
    str,
    Field(
        max_length=2048,
        description="The role we assume; its trust policy must demand the account's external id.",
        examples=[f"arn:aws:iam::{EXAMPLE_NUMBER}:role/hostmaster"],
    ),
]
Usd = Annotated[Decimal, Field(description="USD in 30 days.", examples=["41.6100"])]
Text = Annotated[str, Field(max_length=255)]


def secret(description: str, max_length: int) -> Any:
    """Write-only: no answer, error or log line holds it."""
    return Field(None, max_length=max_length, description=f"{description} Never shown again.")


class Keys(Input):
    """An AWS access key, with its session token when it is temporary."""

    access_key_id: SecretStr | None = secret("The access key's id.", 128)
    secret_access_key: SecretStr | None = secret("The access key's secret.", 1024)
    session_token: SecretStr | None = secret("Only for temporary keys.", 8192)

    def revealed(self) -> dict[str, Any]:
        """The keys that were given, for the service that seals them."""
        names = ("access_key_id", "secret_access_key", "session_token")
        given = {name: getattr(self, name) for name in names}
        return {name: value.get_secret_value() for name, value in given.items() if value}


class ItemOut(Schema):
    """One thing in one region of an account."""

    id: int
    account: UUID
    region: str
    resource_id: str = Field(examples=["i-0abc1234def567890"])
    name: str
    state: str = Field(examples=["running"])
    state_since: datetime
    tags: dict[str, Any]
    spec: dict[str, Any] = Field(description="What only this kind of thing has.")
    monthly_cost_usd: Usd | None = Field(description="At list price; null: unknown.")
    first_seen_at: datetime
    last_seen_at: datetime
    gone_at: datetime | None = Field(
        description="When a look that succeeded no longer saw it; null: it is there."
    )

    @staticmethod
    def resolve_account(row: Any) -> UUID:
        account_id: UUID = row.account_id
        return account_id

    @staticmethod
    def resolve_state_since(row: Any) -> datetime:
        since: datetime = row.state_since or row.first_seen_at
        return since
