"""Which CloudWatch metrics tell how a thing is used, and their hours summed up. Asks nobody."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from scans.aws.collectors.rows import (
    BUCKET,
    DATABASE,
    INSTANCE,
    LOAD_BALANCER,
    NAT_GATEWAY,
    VOLUME,
)

HOUR = 3600
DAY = 24 * HOUR
HOURS_A_WEEK = 168

CPU = "cpu_percent"
MEMORY = "memory_percent"
NETWORK = "network_bytes"
DISK_OPS = "disk_ops"
VOLUME_OPS = "volume_ops"
CONNECTIONS = "connections"
FREEABLE_MEMORY = "freeable_memory_bytes"
DATABASE_IOPS = "rds_iops"
REQUESTS = "request_count"
NEW_FLOWS = "new_flows"
BYTES_PROCESSED = "bytes_processed"
HEALTHY_HOSTS = "healthy_hosts"
BUCKET_SIZE = "bucket_size_bytes"

# The share of weeks an hour of the week stays at or below its figure: three of four.
MOST_WEEKS_PERCENT = 75

# Of these AWS writes only hours that are not zero: an hour without a value is one without any.
SPARSE = frozenset({REQUESTS})
# Of kinds of things in these states alone there is something to measure.
_MEASURED_STATES = {INSTANCE: {"running"}, VOLUME: {"in-use"}, NAT_GATEWAY: {"available"}}
_STORAGE_TYPES = (
    "StandardStorage",
    "StandardIAStorage",
    "OneZoneIAStorage",
    "IntelligentTieringFAStorage",
    "IntelligentTieringIAStorage",
    "GlacierInstantRetrievalStorage",
    "GlacierStorage",
    "DeepArchiveStorage",
)

KINDS_BY_PERIOD = {
    HOUR: (INSTANCE, VOLUME, DATABASE, LOAD_BALANCER, NAT_GATEWAY),
    DAY: (BUCKET,),
}

Dimensions = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Term:
    """One CloudWatch series. The terms of a metric are added up hour by hour."""

    namespace: str
    name: str
    stat: str  # Average, Sum, Maximum
    dimensions: Dimensions


@dataclass(frozen=True)
class Question:
    """One metric of one thing. `peak`: the series of the highest values within each hour."""

    kind: str
    resource_id: str
    metric: str
    terms: tuple[Term, ...]
    peak: Term | None = None
    period: int = HOUR
    is_counted: bool = False  # amounts that add up to a total, unlike a percentage
    wants_week: bool = False

    @property
    def series(self) -> tuple[Term, ...]:
        return (*self.terms, self.peak) if self.peak else self.terms


@dataclass(frozen=True)
class Window:
    """Whole hours up to `end`. Daily series count the days that end with today's midnight."""

    end: datetime
    days: int

    @classmethod
    def before(cls, now: datetime, days: int) -> Window:
        return cls(now.astimezone(UTC).replace(minute=0, second=0, microsecond=0), days)

    def bounds(self, period: int) -> tuple[datetime, datetime]:
        """From, and up to but without."""
        end = self.end
        if period == DAY:
            end = end.replace(hour=0) + timedelta(days=1)
        return end - timedelta(days=self.days), end

    def slots(self, period: int) -> int:
        return self.days * DAY // period


@dataclass(frozen=True)
class Reading:
    """The summary of one metric, as `MetricSummary` keeps it."""

    kind: str
    resource_id: str
    metric: str
    window_days: int
    datapoints: int
    expected: int
    average: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    maximum: float | None = None
    total: float | None = None
    hour_of_week: list[float | None] | None = None
    daily: list[float | None] | None = None


@dataclass
class Series:
    """The hours of one question, filled term by term; NaN is an hour without a value."""

    question: Question
    window: Window
    hours: array[float] = field(init=False)
    peak: float = -math.inf

    def __post_init__(self) -> None:
        slots = self.window.slots(self.question.period)
        self.hours = array("d", [math.nan]) * slots
        self._start = self.window.bounds(self.question.period)[0].timestamp()

    def add(self, term: Term, points: Iterable[tuple[datetime, float]]) -> None:
        """Values of a term. Whatever is outside the window is left out."""
        if term == self.question.peak:
            inside = [value for at, value in points if self._slot(at) is not None]
            self.peak = max([self.peak, *inside])
            return
        for at, value in points:
            if (slot := self._slot(at)) is not None:
                known = self.hours[slot]
                self.hours[slot] = value if math.isnan(known) else known + value

    def _slot(self, at: datetime) -> int | None:
        slot = int((at.timestamp() - self._start) // self.question.period)
        return slot if 0 <= slot < len(self.hours) else None

    def reading(self) -> Reading:
        question, window = self.question, self.window
        known = sorted(value for value in self.hours if not math.isnan(value))
        shared: dict[str, Any] = {
            "kind": question.kind,
            "resource_id": question.resource_id,
            "metric": question.metric,
            "window_days": window.days,
            "datapoints": len(known),
            "expected": len(self.hours),
        }
        if not known:
            return Reading(**shared)
        total = math.fsum(known)
        return Reading(
            **shared,
            average=_short(total / len(known)),
            p50=_short(percentile(known, 50)),
            p95=_short(percentile(known, 95)),
            p99=_short(percentile(known, 99)),
            maximum=_short(max(known[-1], self.peak)),
            total=_short(total) if question.is_counted else None,
            hour_of_week=self._by_hour_of_week() if question.wants_week else None,
            daily=self._by_day(),
        )

    def _by_day(self) -> list[float | None]:
        a_day = DAY // self.question.period
        fold = math.fsum if self.question.is_counted else _mean
        days = (self.hours[start : start + a_day] for start in range(0, len(self.hours), a_day))
        return [_folded(day, fold) for day in days]

    def _by_hour_of_week(self) -> list[float | None]:
        start = self.window.bounds(HOUR)[0]
        first = start.weekday() * 24 + start.hour
        return [
            _folded(self.hours[(hour - first) % HOURS_A_WEEK :: HOURS_A_WEEK], _in_most_weeks)
            for hour in range(HOURS_A_WEEK)
        ]


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The nearest rank: a value that was measured, not one between two."""
    return ordered[max(0, math.ceil(percent * len(ordered) / 100) - 1)]


def batches(questions: Iterable[Question], size: int) -> Iterator[list[Question]]:
    """As many questions as fit into a call of `size` series; one question stays in one call."""
    batch: list[Question] = []
    count = 0
    for question in questions:
        if batch and count + len(question.series) > size:
            yield batch
            batch, count = [], 0
        batch.append(question)
        count += len(question.series)
    if batch:
        yield batch


def questions_of(
    kind: str, resource_id: str, state: str, spec: Mapping[str, Any], memory: Dimensions = ()
) -> list[Question]:
    """What to ask about one thing. `memory`: the dimensions of what the CloudWatch agent on an
    instance reports, if it does."""
    if state not in _MEASURED_STATES.get(kind, {state}):
        return []
    ask = _Asking(kind, resource_id)
    if kind == INSTANCE:
        return _of_instance(ask, memory)
    if kind == VOLUME:
        names = ("VolumeReadOps", "VolumeWriteOps")
        return [ask.counted(VOLUME_OPS, "AWS/EBS", names, (("VolumeId", resource_id),))]
    if kind == DATABASE:
        return _of_database(ask)
    if kind == NAT_GATEWAY:
        names = ("BytesOutToDestination", "BytesInFromDestination")
        where = (("NatGatewayId", resource_id),)
        return [ask.counted(BYTES_PROCESSED, "AWS/NATGateway", names, where)]
    if kind == LOAD_BALANCER:
        return _of_balancer(ask, spec)
    return [_of_bucket(ask)] if kind == BUCKET else []


@dataclass(frozen=True)
class _Asking:
    kind: str
    resource_id: str

    def counted(
        self,
        metric: str,
        namespace: str,
        names: Sequence[str],
        where: Dimensions,
        *,
        wants_week: bool = False,
    ) -> Question:
        terms = tuple(Term(namespace, name, "Sum", where) for name in names)
        return Question(
            self.kind, self.resource_id, metric, terms, is_counted=True, wants_week=wants_week
        )

    def measured(
        self, metric: str, namespace: str, names: Sequence[str], where: Dimensions, **more: Any
    ) -> Question:
        terms = tuple(Term(namespace, name, "Average", where) for name in names)
        return Question(self.kind, self.resource_id, metric, terms, **more)


def _of_instance(ask: _Asking, memory: Dimensions) -> list[Question]:
    where = (("InstanceId", ask.resource_id),)
    ec2 = "AWS/EC2"
    # What an instance store does and what EBS does, by instance type one of them or both.
    disks = ("DiskReadOps", "DiskWriteOps", "EBSReadOps", "EBSWriteOps")
    peak = Term(ec2, "CPUUtilization", "Maximum", where)
    asked = [
        ask.measured(CPU, ec2, ("CPUUtilization",), where, peak=peak, wants_week=True),
        ask.counted(NETWORK, ec2, ("NetworkIn", "NetworkOut"), where, wants_week=True),
        ask.counted(DISK_OPS, ec2, disks, where),
    ]
    if memory:
        peak = Term("CWAgent", "mem_used_percent", "Maximum", memory)
        asked.append(ask.measured(MEMORY, "CWAgent", ("mem_used_percent",), memory, peak=peak))
    return asked


def _of_database(ask: _Asking) -> list[Question]:
    rds, where = "AWS/RDS", (("DBInstanceIdentifier", ask.resource_id),)
    # Connections by their highest number within each hour: one a minute long is a use.
    connections = (Term(rds, "DatabaseConnections", "Maximum", where),)
    cpu_peak = Term(rds, "CPUUtilization", "Maximum", where)
    return [
        Question(ask.kind, ask.resource_id, CONNECTIONS, connections),
        ask.measured(CPU, rds, ("CPUUtilization",), where, peak=cpu_peak),
        ask.measured(FREEABLE_MEMORY, rds, ("FreeableMemory",), where),
        ask.measured(DATABASE_IOPS, rds, ("ReadIOPS", "WriteIOPS"), where),
    ]


def _of_balancer(ask: _Asking, spec: Mapping[str, Any]) -> list[Question]:
    family, dimension = str(spec.get("type", "")), str(spec.get("dimension", ""))
    namespace, name = _BALANCERS.get(family, ("", ""))
    if not namespace or not dimension:
        return []
    where = ((name, dimension),)
    metric, aws_name = {
        "network": (NEW_FLOWS, "NewFlowCount"),
        "gateway": (NEW_FLOWS, "NewFlowCount"),
    }.get(family, (REQUESTS, "RequestCount"))
    asked = [ask.counted(metric, namespace, (aws_name,), where)]
    groups = (
        [where]
        if family == "classic"
        else [(("TargetGroup", str(group)), *where) for group in spec.get("target_groups") or ()]
    )
    if groups:
        healthy = tuple(Term(namespace, "HealthyHostCount", "Maximum", group) for group in groups)
        asked.append(Question(ask.kind, ask.resource_id, HEALTHY_HOSTS, healthy))
    return asked


_BALANCERS = {
    "application": ("AWS/ApplicationELB", "LoadBalancer"),
    "network": ("AWS/NetworkELB", "LoadBalancer"),
    "gateway": ("AWS/GatewayELB", "LoadBalancer"),
    "classic": ("AWS/ELB", "LoadBalancerName"),
}


def _of_bucket(ask: _Asking) -> Question:
    terms = tuple(
        Term(
            "AWS/S3",
            "BucketSizeBytes",
            "Average",
            (("BucketName", ask.resource_id), ("StorageType", storage)),
        )
        for storage in _STORAGE_TYPES
    )
    return Question(ask.kind, ask.resource_id, BUCKET_SIZE, terms, period=DAY)


def _folded(values: array[float], fold: Any) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    return _short(fold(known)) if known else None


def _in_most_weeks(values: Sequence[float]) -> float:
    return percentile(sorted(values), MOST_WEEKS_PERCENT)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _short(value: float) -> float:
    """Six digits: enough for any rule, half the space."""
    return float(f"{value:.6g}")
