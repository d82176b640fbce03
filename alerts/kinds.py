"""The kinds of alert rules: what their threshold means and what else they may be told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import models


class RuleKind(models.TextChoices):
    """What a rule judges. `alerts.evaluators` has one module for each that can be judged."""

    DOWN = "down", "Down"  # a monitor failed N checks in a row
    SLOW_RESPONSE = "slow_response", "Slow response"  # slower than so many ms, k checks in a row
    SSL_EXPIRY = "ssl_expiry", "Certificate expiry"  # ends within so many days, or is not valid
    COST_BUDGET = "cost_budget", "Cost budget"  # a month passed so many percent of its budget
    COST_ANOMALY = "cost_anomaly", "Cost anomaly"  # a day cost so many USD more than such days do
    DEAD_LETTER = "dead_letter", "Dead letter"  # jobs failed for good
    WORKER_CRASH = "worker_crash", "Worker crash"  # a lane of workers ended by itself
    COMPONENT_HEALTH = "component_health", "Component health"  # a part of the product is ill
    FAILURE_RATE = "failure_rate", "Failure rate"
    SCORE_THRESHOLD = "score_threshold", "Score threshold"
    CLOUD_EVENT = "cloud_event", "Cloud event"
    URL_VERDICT = "url_verdict", "URL verdict"


@dataclass(frozen=True)
class Number:
    """A number a rule may be given, and the one it has when it is not."""

    default: float
    low: float
    high: float
    unit: str
    is_whole: bool = False

    def problem(self, value: object) -> str:
        """Why `value` is not such a number, as the end of a sentence; empty when it is."""
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            return f"must be a number of {self.unit}, not {value!r}"
        if not self.low <= value <= self.high:
            return f"must be {self.low:g} to {self.high:g} {self.unit}, not {value:g}"
        if self.is_whole and value != int(value):
            return f"must be a whole number of {self.unit}, not {value:g}"
        return ""


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    default: Any
    values: tuple[Any, ...]

    def problem(self, value: object) -> str:
        if any(
            value is known or (value == known and type(value) is type(known))
            for known in self.values
        ):
            return ""
        return f"must be one of {', '.join(map(repr, self.values))}, not {value!r}"


Setting = Number | Choice


@dataclass(frozen=True)
class KindSpec:
    """What one kind may be told. `threshold` is what the rule's column means."""

    threshold: Number
    params: Mapping[str, Setting] = field(default_factory=dict)
    is_about_monitors: bool = False
    is_about_accounts: bool = False
    is_about_installation: bool = False  # the product under all tenants, not one of them


MOST_CHECKS = 50  # in a row: what is read of each monitor at every evaluation grows with it

COMMON_PARAMS: Mapping[str, Setting] = {
    "repeat_minutes": Number(0, 0, 10_080, "minutes"),
}

SPECS: Mapping[str, KindSpec] = {
    RuleKind.DOWN: KindSpec(
        threshold=Number(3, 1, MOST_CHECKS, "failed checks in a row", is_whole=True),
        is_about_monitors=True,
    ),
    RuleKind.SLOW_RESPONSE: KindSpec(
        threshold=Number(2000, 1, 300_000, "milliseconds"),
        params={
            "checks": Number(3, 1, MOST_CHECKS, "checks in a row", is_whole=True),
            "clear_ratio": Number(0.9, 0.1, 1, "of the threshold"),
        },
        is_about_monitors=True,
    ),
    RuleKind.SSL_EXPIRY: KindSpec(
        threshold=Number(14, 0, 825, "days"),
        params={"invalid": Choice(True, (True, False))},
        is_about_monitors=True,
    ),
    RuleKind.COST_BUDGET: KindSpec(
        threshold=Number(0, 0, 10_000, "percent of the budget"),
        is_about_accounts=True,
    ),
    RuleKind.COST_ANOMALY: KindSpec(
        threshold=Number(0, 0, 1e12, "USD too much"),
        params={"days": Number(3, 1, 90, "days that a day stays news", is_whole=True)},
        is_about_accounts=True,
    ),
    RuleKind.DEAD_LETTER: KindSpec(
        threshold=Number(1, 1, 1_000_000, "dead letters", is_whole=True)
    ),
    RuleKind.WORKER_CRASH: KindSpec(
        threshold=Number(1, 1, 1000, "crashes", is_whole=True),
        params={"minutes": Number(15, 1, 1440, "minutes in which crashes count")},
        is_about_installation=True,
    ),
    RuleKind.COMPONENT_HEALTH: KindSpec(
        threshold=Number(1, 1, 1, "component", is_whole=True),
        params={"level": Choice("critical", ("degraded", "critical"))},
        is_about_installation=True,
    ),
}


@dataclass(frozen=True)
class RuleSettings:
    """A rule's threshold and params, with the kind's own where it says nothing."""

    threshold: float
    params: Mapping[str, Any]

    def number(self, name: str) -> float:
        return float(self.params[name])

    def count(self, name: str) -> int:
        return int(self.params[name])


def settings_of(kind: str, threshold: float | None, params: Mapping[str, Any]) -> RuleSettings:
    """What an evaluator judges by. The values must be free of `problems`."""
    spec = SPECS[kind]
    known = {**COMMON_PARAMS, **spec.params}
    return RuleSettings(
        threshold=float(spec.threshold.default if threshold is None else threshold),
        params={name: params.get(name, setting.default) for name, setting in known.items()},
    )


def problems(
    kind: str,
    threshold: float | None,
    params: object,
    *,
    has_monitor: bool = False,
    has_account: bool = False,
) -> dict[str, list[str]]:
    """What is wrong with a rule, a list of sentences for each field; empty: it can be judged."""
    if kind not in RuleKind.values:
        return {"kind": [f"There is no kind {kind!r}; there is {', '.join(sorted(SPECS))}."]}
    spec = SPECS.get(kind)
    if spec is None:
        return {"kind": [f"Rules of kind {kind!r} cannot be judged yet."]}
    found: dict[str, list[str]] = {}
    if threshold is not None and (problem := spec.threshold.problem(threshold)):
        found["threshold"] = [f"The threshold of a {kind} rule {problem}."]
    if wrong := _param_problems(kind, spec, params):
        found["params"] = wrong
    if has_monitor and not spec.is_about_monitors:
        found["monitor"] = [f"A {kind} rule is about no monitor."]
    if has_account and not spec.is_about_accounts:
        found["account"] = [f"A {kind} rule is about no account."]
    return found


def _param_problems(kind: str, spec: KindSpec, params: object) -> list[str]:
    if not isinstance(params, dict):
        return ["The parameters must be a JSON object."]
    known = {**COMMON_PARAMS, **spec.params}
    wrong = []
    for name, value in params.items():
        if name not in known:
            choices = ", ".join(sorted(known))
            wrong.append(f"A {kind} rule knows no parameter {name!r}; it knows {choices}.")
        elif problem := known[name].problem(value):
            wrong.append(f"The parameter {name!r} {problem}.")
    return wrong
