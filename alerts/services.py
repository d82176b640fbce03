"""The verbs of the alerts app, for admin, API, commands and other code."""

from __future__ import annotations

from alerts.channels import add_channel, edit_channel, rotate_secret, test_channel
from alerts.incidents import IncidentResolvedError, acknowledge, add_note, resolve
from alerts.outbox import replay
from alerts.rules import RuleChangedError, add_default_rules, add_rule, edit_rule
from alerts.silencing import end_silence, silence

__all__ = [
    "IncidentResolvedError",
    "RuleChangedError",
    "acknowledge",
    "add_channel",
    "add_default_rules",
    "add_note",
    "add_rule",
    "edit_channel",
    "edit_rule",
    "end_silence",
    "replay",
    "resolve",
    "rotate_secret",
    "silence",
    "test_channel",
]
