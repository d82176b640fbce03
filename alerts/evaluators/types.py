"""What every evaluator is given and answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NamedTuple
from uuid import UUID

from alerts.models import AlertRule, Incident, Resolution


class Key(NamedTuple):
    """What at most one unresolved incident is about: a rule and a monitor, or a subject."""

    rule_id: UUID
    monitor_id: UUID | None
    subject: str

    @classmethod
    def of_incident(cls, incident: Incident) -> Key:
        if incident.monitor_id is not None:
            return cls(incident.alert_rule_id, incident.monitor_id, "")
        return cls(incident.alert_rule_id, None, incident.subject)


class Outcome(Enum):
    """How a condition stands."""

    FIRING = "firing"
    CLEAR = "clear"
    HELD = "held"  # nothing is known, or neither for sure: what is open stays open


@dataclass(frozen=True)
class Scope:
    """Which monitors to judge; `None`: all of them, and everything else besides."""

    monitor_ids: frozenset[UUID] | None = None

    @property
    def is_whole(self) -> bool:
        return self.monitor_ids is None


WHOLE = Scope()


@dataclass(frozen=True)
class Finding:
    """A subject for which a rule fires."""

    rule: AlertRule
    subject: str
    title: str  # one line for people
    trigger_value: str  # the facts that tripped the rule
    monitor_id: UUID | None = None
    began_at: datetime | None = None  # the first evidence seen
    seen_at: datetime | None = None  # the newest

    @property
    def key(self) -> Key:
        return Key(self.rule.pk, self.monitor_id, "" if self.monitor_id else self.subject)


@dataclass
class Judgement:
    """What one kind's rules came to. What is neither firing, ended nor held is `absent`."""

    firing: list[Finding] = field(default_factory=list)
    ended: dict[Key, Resolution] = field(default_factory=dict)
    held: set[Key] = field(default_factory=set)
    absent: Resolution = Resolution.RECOVERED


Evaluator = Callable[[Sequence[AlertRule], Scope, datetime], Judgement]
