"""The verbs of the alerts app, for admin, API, commands and other code."""

from __future__ import annotations

from alerts.incidents import IncidentResolvedError, acknowledge, add_note, resolve
from alerts.rules import RuleChangedError, add_default_rules, add_rule, edit_rule
from alerts.silencing import end_silence, silence

__all__ = [
    "IncidentResolvedError",
    "RuleChangedError",
    "acknowledge",
    "add_default_rules",
    "add_note",
    "add_rule",
    "edit_rule",
    "end_silence",
    "resolve",
    "silence",
]
