from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ

from hostmaster.core.jobs.models import ScheduleState
from hostmaster.core.jobs.schedules import set_up_schedules
from tests.admin.test_jobs import messages_of, text_of

pytestmark = pytest.mark.django_db

LIST = "/admin/jobs/schedulestate/"


@pytest.fixture(autouse=True)
def schedules() -> None:
    set_up_schedules()


def test_list_tells_how_each_fared(operator: Client) -> None:
    now = timezone.now()
    states = ScheduleState.objects
    states.filter(name="aws_scans").update(
        last_started_at=now, last_finished_at=now, last_duration_seconds=0.18
    )
    states.filter(name="forget_credentials").update(
        last_started_at=now, last_finished_at=now, last_error="OperationalError: locked"
    )
    states.filter(name="component_health").update(next_run_at=now - timedelta(minutes=5))

    page = text_of(operator.get(LIST))

    assert "aws_scans ✓ Ran now 180 ms" in page
    assert "forget_credentials ✗ Failed" in page
    assert "component_health ! Late" in page
    assert "kernel_yearly ○ Not run yet" in page
    assert "OperationalError: locked" in text_of(operator.get(f"{LIST}forget_credentials/change/"))


def test_run_now_rings_the_schedules_lane(
    operator: Client, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = operator.post(f"{LIST}aws_scans/run-now/")

    message = OrmQ.objects.get()
    assert (message.key, message.task["args"]) == ("default", ("aws_scans",))
    assert messages_of(answer) == ["Asked the workers to run aws_scans."]


def test_schedule_that_the_code_forgot_is_not_rung(operator: Client) -> None:
    ScheduleState.objects.create(name="of_old", lane="default", cron="* * * * * 0")

    answer = operator.post(LIST, {"action": "run_selected_now", "_selected_action": ["of_old"]})

    assert "no such schedule" in messages_of(answer)[0]
    assert not OrmQ.objects.exists()


def test_schedules_are_code_and_cannot_be_edited(operator: Client) -> None:
    assert operator.post(f"{LIST}aws_scans/change/", {"cron": "* * * * * *"}).status_code == 403
    assert operator.get(f"{LIST}add/").status_code == 403
