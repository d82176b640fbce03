"""What collectors hand on: plain rows, one a resource, in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias, TypeVar

from scans.aws.clients import AwsClient
from scans.aws.errors import AWS_ERRORS, error_code

INSTANCE = "ec2_instance"
VOLUME = "ebs_volume"
ADDRESS = "elastic_ip"
SNAPSHOT = "ebs_snapshot"
IMAGE = "machine_image"
DATABASE = "rds_instance"
DATABASE_SNAPSHOT = "rds_snapshot"
LOAD_BALANCER = "load_balancer"
NAT_GATEWAY = "nat_gateway"
BUCKET = "s3_bucket"

PAGE_SIZE = 500  # rows a page: as fast to store as 2,000, and a page stays small in memory
# A detail that is denied for so many things in a row, and for none answered, is denied for all.
GIVE_UP_AFTER = 3

Answer = TypeVar("Answer")
Spec: TypeAlias = dict[str, Any]  # what JSON can hold


@dataclass(frozen=True, kw_only=True)
class ResourceRow:
    """One resource as AWS describes it. What it costs, `collectors.costs` knows."""

    region: str
    resource_id: str
    kind: str
    name: str
    state: str
    tags: dict[str, str] = field(default_factory=dict)
    spec: Spec = field(default_factory=dict)
    owner_id: str = ""  # the AWS account whose it is, where AWS lists others' things too


@dataclass(frozen=True, kw_only=True)
class InstanceRow(ResourceRow):
    """One EC2 instance. A `terminated` one is gone, though AWS lists it for an hour more."""

    kind: str = INSTANCE
    instance_type: str
    availability_zone: str = ""
    lifecycle: str = "on-demand"  # or spot, scheduled, capacity-block
    platform: str = ""
    launched_at: datetime | None = None

    @property
    def is_gone(self) -> bool:
        return self.state == "terminated"


class Collect(Protocol):
    def __call__(self, client: AwsClient, region: str) -> Iterator[Sequence[ResourceRow]]: ...


@dataclass(frozen=True)
class Detail:
    """A further question about each thing. What AWS does not answer is a gap in the rows, and a
    unit of its own in the coverage."""

    call: str
    iam_action: str


class Details:
    """Asks for the details of one unit's rows, and keeps what AWS did not answer."""

    def __init__(self) -> None:
        self.answered: dict[Detail, int] = {}
        self.missed: dict[Detail, Exception] = {}  # by the first error of each
        self._misses: dict[Detail, int] = {}

    def ask(self, detail: Detail, call: Callable[[], Answer]) -> Answer | None:
        """What `call` answers, `None` when AWS does not. One of the things a detail asks about
        may be gone meanwhile: no answer either, and nothing wrong."""
        if not self.answered.get(detail) and self._misses.get(detail, 0) >= GIVE_UP_AFTER:
            return None
        try:
            answer = call()
        except AWS_ERRORS as error:
            if not _is_gone_meanwhile(error):
                self.missed.setdefault(detail, error)
                self._misses[detail] = self._misses.get(detail, 0) + 1
            return None
        self.answered[detail] = self.answered.get(detail, 0) + 1
        return answer


class Enrich(Protocol):
    def __call__(
        self, client: AwsClient, rows: Sequence[ResourceRow], details: Details
    ) -> Sequence[ResourceRow]: ...


@dataclass(frozen=True)
class Collector:
    """One call to one service, asked in each region: with the region it is a unit of a scan.

    `enrich` adds to a page what only further calls, the `details`, tell. `only` are the stored
    rows it lists, as a filter, where another collector has the same kind.
    """

    service: str  # "ec2"
    call: str  # "DescribeInstances"
    kind: str  # of the rows
    iam_action: str  # what the customer's policy must allow
    collect: Collect
    details: tuple[Detail, ...] = ()
    enrich: Enrich | None = None
    only: Mapping[str, Any] = field(default_factory=dict)

    @property
    def iam_actions(self) -> tuple[str, ...]:
        return (self.iam_action, *(detail.iam_action for detail in self.details))


def _is_gone_meanwhile(error: Exception) -> bool:
    code = error_code(error)
    return "NotFound" in code or code.startswith("NoSuch")


def taken(page: dict[str, Any], name: str) -> Iterator[Any]:
    """The things of a page of botocore's, which keeps it until the next one is asked for. Each goes
    once it is read: 16 threads with 500 instances at once, described in full, are 80 MB."""
    things: list[Any] = page.get(name) or []
    things.reverse()
    while things:
        yield things.pop()


def tags_of(described: Mapping[str, Any]) -> dict[str, str]:
    """AWS's list of keys and values as one mapping."""
    return {str(tag["Key"]): str(tag.get("Value", "")) for tag in described.get("Tags") or ()}


def in_utc(instant: datetime | None) -> datetime | None:
    """AWS's instants carry the zone of this machine."""
    return instant.astimezone(UTC) if instant else None


def instant_text(instant: datetime | None) -> str | None:
    """ISO 8601 in UTC, as a spec holds instants."""
    return instant.astimezone(UTC).isoformat() if instant else None
