"""Alert channels: where people are told. What is in their configuration is never shown again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.db.models import QuerySet
from ninja import Field, Router, Schema, Status
from pydantic import ConfigDict, JsonValue

from alerts.channels import (
    ChannelChangedError,
    ChannelNameTakenError,
    TestResult,
    TooManyTestsError,
)
from alerts.models import AlertChannel, ChannelType
from alerts.services import add_channel, edit_channel, rotate_secret, test_channel
from alerts.transports.base import ConfigError
from alerts.transports.catalogue import channel_hint
from hostmaster.core.crypto import SealError
from hostmaster.core.web.errors import ApiError, ConflictError, ErrorOut, InvalidInputError
from hostmaster.core.web.fields import EXAMPLE_ID, Input, Version
from hostmaster.core.web.paging import paged
from hostmaster.core.web.scoping import ensure_version, own, own_or_404
from hostmaster.core.web.tenancy import TenantRequest

router = Router(tags=["alerts"])

Name = Annotated[str, Field(min_length=1, max_length=100, examples=["On call"])]
Config = Annotated[
    dict[str, JsonValue],
    Field(
        description="webhook: {url, secret?}; discord and slack: {url}; email: {to: [addresses]}. "
        "Sealed, never shown again.",
        examples=[{"url": "https://hooks.example.com/alerts"}],
    ),
]


class TestedTooOftenError(ApiError):
    """This channel was tested five times within a minute."""

    status = 429


class ChannelIn(Input):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "On call",
                    "type": "webhook",
                    "config": {"url": "https://hooks.example.com/alerts"},
                }
            ]
        },
    )

    name: Name
    type: ChannelType
    config: Config
    enabled: bool = True
    is_grouped: bool = Field(
        True, description="At most 3 messages in any 60 s; what waits beyond is told in a digest."
    )


class ChannelPatch(Input):
    """What is to change; a webhook's secrets stay unless the configuration brings one."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"version": 1, "enabled": False}]}
    )

    version: Version
    name: Name | None = None
    config: Config | None = None
    enabled: bool | None = None
    is_grouped: bool | None = None


class ChannelOut(Schema):
    id: UUID = Field(examples=[EXAMPLE_ID])
    name: str
    type: ChannelType
    hint: str = Field(description="A host or a masked address: enough to tell it by.")
    enabled: bool
    is_grouped: bool
    disabled_reason: str = Field(description="Why it was switched off by itself.")
    is_breaker_open: bool = Field(description="It failed often in a row and is left alone a while.")
    last_success_at: datetime | None
    last_error: str = Field(description="Of the last try, if it failed.")
    created_at: datetime
    updated_at: datetime
    version: int

    @staticmethod
    def resolve_hint(row: AlertChannel) -> str:
        return channel_hint(row)


class NewChannelOut(ChannelOut):
    secret: str = Field(description="What a webhook's messages are signed with. Shown this once.")

    @staticmethod
    def resolve_secret(row: AlertChannel) -> str:
        return str(row.config.get("secret", ""))


class SecretOut(Schema):
    secret: str = Field(description="Shown this once; the previous one signs as well for 24 h.")


class TestOut(Schema):
    """What came of one try."""

    ok: bool
    status: int | None = Field(description="The HTTP status, if there was one.")
    milliseconds: int
    reply: str = Field(description="The beginning of the answer, secrets masked.")
    error: str


@router.get("/alert-channels", response=list[ChannelOut])
@paged
def list_channels(request: TenantRequest) -> QuerySet[AlertChannel]:
    """Your channels by name."""
    return own(request, AlertChannel).order_by("name", "pk")


@router.post("/alert-channels", response={201: NewChannelOut, 409: ErrorOut})
def create_channel(request: TenantRequest, body: ChannelIn) -> Status[AlertChannel]:
    """Add a channel. A webhook without a secret gets one, shown in this answer alone."""
    try:
        return Status(201, add_channel(request.tenant, **body.model_dump()))
    except ConfigError as error:
        raise InvalidInputError("config", str(error)) from error
    except ChannelNameTakenError as error:
        raise ConflictError(str(error)) from error


@router.get("/alert-channels/{channel_id}", response=ChannelOut)
def get_channel(request: TenantRequest, channel_id: UUID) -> AlertChannel:
    """One channel."""
    return own_or_404(request, AlertChannel, channel_id)


@router.patch("/alert-channels/{channel_id}", response={200: ChannelOut, 409: ErrorOut})
def patch_channel(request: TenantRequest, channel_id: UUID, body: ChannelPatch) -> AlertChannel:
    """Change it. Switching it on forgets what went wrong before."""
    channel = own_or_404(request, AlertChannel, channel_id)
    ensure_version(channel, body.version)
    changes: dict[str, Any] = body.model_dump(exclude_none=True, exclude={"version"})
    try:
        return edit_channel(channel, **changes)
    except ConfigError as error:
        raise InvalidInputError("config", str(error)) from error
    except (ChannelNameTakenError, ChannelChangedError, SealError) as error:
        raise ConflictError(str(error)) from error


@router.delete("/alert-channels/{channel_id}", response={204: None})
def delete_channel(request: TenantRequest, channel_id: UUID) -> Status[None]:
    """Forget it, and what it still owes."""
    own_or_404(request, AlertChannel, channel_id).delete()
    return Status(204, None)


@router.post(
    "/alert-channels/{channel_id}/test",
    response={200: TestOut, 409: ErrorOut, 429: ErrorOut},
)
def try_channel(request: TenantRequest, channel_id: UUID) -> TestResult:
    """Send a test message: one try, whose result is in the answer. Five a minute."""
    try:
        return test_channel(own_or_404(request, AlertChannel, channel_id))
    except TooManyTestsError as error:
        raise TestedTooOftenError(str(error)) from error
    except (ConfigError, SealError) as error:
        raise ConflictError(str(error)) from error


@router.post("/alert-channels/{channel_id}/rotate-secret", response={200: SecretOut, 409: ErrorOut})
def rotate(request: TenantRequest, channel_id: UUID) -> dict[str, str]:
    """A new secret for a webhook; messages are signed with both for 24 h."""
    try:
        return {"secret": rotate_secret(own_or_404(request, AlertChannel, channel_id))}
    except (ConfigError, ChannelChangedError, SealError) as error:
        raise ConflictError(str(error)) from error
