"""What a monitor looks like from outside, and what may be asked of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic import ConfigDict, JsonValue, SecretStr

from hostmaster.core.crypto import SealError
from hostmaster.core.web.fields import EXAMPLE_ID, Input, Version
from monitors.models import Monitor, MonitorKind, MonitorRun, MonitorStatus

Name = Annotated[str, Field(min_length=1, max_length=200, examples=["Shop"])]
Url = Annotated[
    str,
    Field(
        max_length=2048,
        description="http://…, https://… or tcp://host:port; empty for a push monitor.",
        examples=["https://shop.example.com/health"],
    ),
]
Seconds = Annotated[int, Field(ge=1, le=86_400)]
Count = Annotated[int, Field(ge=0, le=20)]
Tags = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=50)]
Headers = Annotated[
    dict[str, SecretStr],
    Field(max_length=50, description="Sent with each request. Sealed, never shown again."),
]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
TlsVersion = Literal["1.0", "1.1", "1.2", "1.3"]
Assertions = Annotated[
    list[dict[str, JsonValue]],
    Field(
        max_length=50,
        description="Each a condition on the answer that must hold.",
        examples=[[{"source": "json", "target": "$.status", "op": "==", "value": "ok"}]],
    ),
]


class Settings(Input):
    """What a monitor may be told besides its name and its URL."""

    enabled: bool = True
    interval_seconds: Seconds = 30
    timeout_seconds: float = Field(10, gt=0, le=300)
    method: Method = "GET"
    headers: Headers = {}
    body: str = Field("", max_length=65_536)
    expected_status: str = Field("200-399", max_length=100, examples=["200-299,304"])
    keyword: str = Field("", max_length=500)
    keyword_absent: bool = Field(False, description="The keyword must not be there.")
    assertions: Assertions = []
    follow_redirects: bool = True
    max_redirects: Count = 5
    verify_tls: bool = True
    check_certificate: bool = True
    min_tls_version: TlsVersion = "1.2"
    retries: Count = Field(1, description="Fast re-checks that must fail too before it is down.")
    retry_interval_seconds: int = Field(10, ge=1, le=3600)
    successes_before_up: int = Field(1, ge=1, le=20)
    tags: Tags = []
    depends_on: list[UUID] = Field(
        [],
        max_length=50,
        description="While one of these is down, this one's incidents are suppressed.",
    )
    push_grace_seconds: int = Field(30, ge=0, le=86_400)
    external_id: str = Field("", max_length=200, description="Its name in configuration as code.")


class MonitorIn(Settings):
    """A new monitor; all but name and URL may be left out."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "Shop", "url": "https://shop.example.com/health", "tags": ["eu"]}]
        },
    )

    name: Name
    kind: MonitorKind = MonitorKind.HTTP
    url: Url = ""


class MonitorPatch(Settings):
    """What is to change; the rest stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"version": 1, "interval_seconds": 60}]}
    )

    version: Version
    name: Name = ""
    url: Url = ""


class MonitorOut(Schema):
    """A monitor, without its secrets, and how it is."""

    id: UUID = Field(examples=[EXAMPLE_ID])
    name: str
    kind: MonitorKind
    url: str
    enabled: bool
    status: MonitorStatus = Field(
        description="unknown: not judged yet, or we could not look; paused: not enabled."
    )
    status_since: datetime
    status_reason: str
    interval_seconds: int
    timeout_seconds: float
    method: str
    header_names: list[str] = Field(
        description="Their values are never shown; nor are the names while their key is missing."
    )
    body: str
    expected_status: str
    keyword: str
    keyword_absent: bool
    assertions: list[dict[str, Any]]
    follow_redirects: bool
    max_redirects: int
    verify_tls: bool
    check_certificate: bool
    min_tls_version: str
    retries: int
    retry_interval_seconds: int
    successes_before_up: int
    tags: list[str]
    depends_on: list[UUID]
    push_grace_seconds: int
    external_id: str
    last_checked_at: datetime | None
    last_response_ms: int | None
    last_status_code: int | None
    last_error: str
    next_check_at: datetime | None
    ssl_valid: bool | None = Field(description="null: not looked at.")
    ssl_reason: str
    ssl_expires_at: datetime | None = Field(description="The first of the chain to end.")
    created_at: datetime
    updated_at: datetime
    version: int

    @staticmethod
    def resolve_header_names(row: Monitor) -> list[str]:
        from monitors.services import headers_of

        try:
            return sorted(headers_of(row))
        except SealError:  # the check says so; the monitor must be seen to be put right
            return []

    @staticmethod
    def resolve_depends_on(row: Monitor) -> list[UUID]:
        return [parent.pk for parent in row.depends_on.all()]

    @staticmethod
    def resolve_last_checked_at(row: Monitor) -> datetime | None:
        return _run(row).last_checked_at

    @staticmethod
    def resolve_last_response_ms(row: Monitor) -> int | None:
        return _run(row).last_response_ms

    @staticmethod
    def resolve_last_status_code(row: Monitor) -> int | None:
        return _run(row).last_status_code

    @staticmethod
    def resolve_last_error(row: Monitor) -> str:
        return _run(row).last_error

    @staticmethod
    def resolve_next_check_at(row: Monitor) -> datetime | None:
        return _run(row).next_check_at

    @staticmethod
    def resolve_ssl_valid(row: Monitor) -> bool | None:
        return _run(row).ssl_valid

    @staticmethod
    def resolve_ssl_reason(row: Monitor) -> str:
        return _run(row).ssl_reason

    @staticmethod
    def resolve_ssl_expires_at(row: Monitor) -> datetime | None:
        return _run(row).ssl_expires_at


class CreatedMonitorOut(MonitorOut):
    push_token: str = Field(
        description="Of a push monitor: what calls it, by POST /api/v1/heartbeats/{token}. "
        "Shown this once; else empty."
    )


class PushTokenOut(Schema):
    push_token: str = Field(description="Shown this once; the one before is refused from now on.")


class CheckOut(Schema):
    """One check, kept for 48 hours."""

    id: UUID
    checked_at: datetime
    success: bool
    status_code: int | None
    response_time_ms: int | None
    error_code: str | None = Field(examples=["timeout"])
    error_message: str | None
    ssl_valid: bool | None
    ssl_expires_at: datetime | None
    dns_ms: int | None
    connect_ms: int | None
    tls_ms: int | None
    ttfb_ms: int | None
    transfer_ms: int | None


def _run(row: Monitor) -> MonitorRun:
    """Its hot row; an empty one for a monitor so new that the sweep has not met it."""
    try:
        return row.run
    except MonitorRun.DoesNotExist:
        return MonitorRun(monitor=row)
