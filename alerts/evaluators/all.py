"""Which evaluator judges which kind of rule."""

from __future__ import annotations

from collections.abc import Mapping

from alerts.evaluators import costs, down, slow_response, ssl_expiry, system
from alerts.evaluators.types import Evaluator
from alerts.models import RuleKind

EVALUATORS: Mapping[str, Evaluator] = {
    RuleKind.DOWN: down.evaluate,
    RuleKind.SLOW_RESPONSE: slow_response.evaluate,
    RuleKind.SSL_EXPIRY: ssl_expiry.evaluate,
    RuleKind.COST_BUDGET: costs.evaluate_budgets,
    RuleKind.COST_ANOMALY: costs.evaluate_anomalies,
    RuleKind.DEAD_LETTER: system.evaluate_dead_letters,
    RuleKind.WORKER_CRASH: system.evaluate_crashes,
    RuleKind.COMPONENT_HEALTH: system.evaluate_components,
}
