"""Any order of checks, evaluations and people's verbs, against a model of one incident."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alerts.incidents import keep_back
from alerts.models import AlertRule, Incident, IncidentStatus, Notification
from alerts.services import IncidentResolvedError, acknowledge, end_silence, resolve, silence
from alerts.tasks import evaluate
from monitors.models import Monitor
from tests.factories import make_channel, make_check, make_monitor, make_rule

THRESHOLD = 2
OVER = {"nothing", "resolved"}


class OneIncident(RuleBasedStateMachine):
    """A monitor, a rule of two failures, a channel; the model is a few words."""

    def __init__(self) -> None:
        super().__init__()
        self._transaction: Any = transaction.atomic()
        self._transaction.__enter__()
        self.monitor = make_monitor()
        self.rule = make_rule(
            monitor=self.monitor,
            threshold=THRESHOLD,
            channels=[make_channel(tenant=self.monitor.tenant)],
        )
        AlertRule.objects.exclude(pk=self.rule.pk).delete()
        self.failures, self.checked = 0, False
        self.state = "nothing"
        self.opened = 0
        self.ended_early_at_failures: int | None = None  # evidence that a person has seen
        self.silence: Any = None

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self._transaction.__exit__(None, None, None)

    @rule(success=st.booleans())
    def check(self, success: bool) -> None:
        self._check(success)

    @rule()
    def fail_for_a_while(self) -> None:
        for _ in range(THRESHOLD):
            self._check(False)
        self.evaluate()

    def _check(self, success: bool) -> None:
        make_check(monitor=self.monitor, success=success)
        self.failures = 0 if success else self.failures + 1
        self.checked = True
        self.ended_early_at_failures = None

    @rule()
    def evaluate(self) -> None:
        evaluate("monitors.Monitor", str(self.monitor.pk))
        is_enabled = Monitor.objects.get(pk=self.monitor.pk).enabled
        if self.state in OVER:
            has_news = self.ended_early_at_failures is None
            if is_enabled and self.failures >= THRESHOLD and has_news:
                self.state, self.opened = "open", self.opened + 1
        elif not is_enabled or (self.checked and self.failures < THRESHOLD):
            self.state = "resolved"
            if not is_enabled:
                self.ended_early_at_failures = self.failures

    @precondition(lambda self: self.opened)
    @rule()
    def switch(self) -> None:
        row = Monitor.objects.get(pk=self.monitor.pk)
        Monitor.objects.filter(pk=row.pk).update(enabled=not row.enabled)

    @precondition(lambda self: self.opened)
    @rule()
    def acknowledge(self) -> None:
        latest = self._latest()
        if self.state == "resolved":
            with pytest.raises(IncidentResolvedError):
                acknowledge(latest, None)
        else:
            acknowledge(latest, None)
            self.state = "acknowledged"

    @precondition(lambda self: self.opened)
    @rule()
    def resolve(self) -> None:
        latest = self._latest()
        if self.state == "resolved":
            with pytest.raises(IncidentResolvedError):
                resolve(latest, None)
        else:
            resolve(latest, None)
            self.state, self.ended_early_at_failures = "resolved", self.failures

    @precondition(lambda self: self.state == "open")
    @rule()
    def keep_back_at_sending(self) -> None:
        keep_back(self._latest(), "Silenced.")

    @precondition(lambda self: self.silence is None)
    @rule()
    def be_silent(self) -> None:
        until = timezone.now() + timedelta(hours=1)
        self.silence = silence(self.monitor.tenant, reason="quiet", until=until)

    @precondition(lambda self: self.silence is not None)
    @rule()
    def speak_again(self) -> None:
        end_silence(self.silence)
        self.silence = None

    @invariant()
    def the_newest_incident_is_as_the_model_says(self) -> None:
        assert self._incidents().count() == self.opened
        if self.opened:
            assert self._latest().status == self.state

    @invariant()
    def at_most_one_is_unresolved(self) -> None:
        assert self._incidents().exclude(status=IncidentStatus.RESOLVED).count() <= 1

    @invariant()
    def each_channel_is_told_of_an_opening_once_and_before_anything_else(self) -> None:
        for incident in self._incidents():
            rows = Notification.objects.filter(incident=incident).order_by("seq")
            told = [row.event for row in rows if row.state != "SUPPRESSED"]
            assert told.count("opened") <= 1
            assert not told or told[0] == "opened"
            assert told.count("resolved") <= 1
            assert "resolved" not in told[:-1]

    @invariant()
    def every_change_has_its_line(self) -> None:
        for incident in self._incidents():
            kinds = list(incident.events.values_list("kind", flat=True))
            assert kinds[0] == "opened"
            assert ("resolved" in kinds) == (incident.status == "resolved")
            assert kinds.count("resolved") <= 1

    def _incidents(self) -> Any:
        return Incident.objects.filter(alert_rule=self.rule)

    def _latest(self) -> Incident:
        latest: Incident = self._incidents().order_by("created_at").last()
        return latest


@pytest.mark.django_db
@pytest.mark.both_databases
def test_one_incident_does_what_the_model_says() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        OneIncident,
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
