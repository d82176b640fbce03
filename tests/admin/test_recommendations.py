from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from scans.models import Recommendation, RecommendationStatus
from tests.admin.test_jobs import messages_of, text_of
from tests.factories import make_recommendation

pytestmark = pytest.mark.django_db

LIST = "/admin/scans/recommendation/"


def page_of(found: Recommendation, verb: str = "change") -> str:
    return f"{LIST}{found.pk}/{verb}/"


def test_page_shows_the_saving_and_its_evidence(operator: Client) -> None:
    found = make_recommendation(evidence={"age_days": 30, "since": "2026-10-25T11:54:17+00:00"})

    page = operator.get(page_of(found))

    assert "$5.00 – $10.00 a month could be saved" in text_of(page)
    assert "age days 30" in text_of(page)
    assert 'title="2026-10-25 11:54:17 UTC"' in page.content.decode()


def test_dismissing_asks_for_the_reason_and_keeps_it(operator: Client) -> None:
    found = make_recommendation(title="Volume x is attached to nothing")
    assert "Volume x is attached to nothing" in text_of(operator.get(page_of(found, "dismiss")))
    assert Recommendation.objects.get().status == RecommendationStatus.OPEN

    form = {"confirmed": "yes", "reason": "Backup of last resort"}
    answer = operator.post(page_of(found, "dismiss"), form)

    found.refresh_from_db()
    assert (found.status, found.dismissed_by) == (RecommendationStatus.DISMISSED, "user anna")
    assert "1 recommendation dismissed" in messages_of(answer)[0]
    assert "by user anna: Backup of last resort" in text_of(operator.get(page_of(found)))


def test_selection_is_snoozed_for_the_days_chosen(operator: Client) -> None:
    first, second = make_recommendation(), make_recommendation()
    resolved = make_recommendation(status=RecommendationStatus.RESOLVED)
    chosen = [row.pk for row in (first, second, resolved)]
    form = {"action": "snooze_selected", "_selected_action": chosen}

    assert "Snooze 2 recommendations?" in text_of(operator.post(LIST, form))
    answer = operator.post(LIST, {**form, "confirmed": "yes", "days": "7"})

    snoozed = Recommendation.objects.filter(status=RecommendationStatus.SNOOZED)
    assert {row.pk for row in snoozed} == {first.pk, second.pk}
    assert all(
        row.snoozed_until and timedelta(days=6) < row.snoozed_until - timezone.now()
        for row in snoozed
    )
    assert "2 recommendations snoozed" in messages_of(answer)[0]
    assert "1 stayed as before" in messages_of(answer)[0]


def test_wrong_answer_is_asked_again(operator: Client) -> None:
    found = make_recommendation()

    page = operator.post(page_of(found, "snooze"), {"confirmed": "yes", "days": "4000"})

    assert "Select a valid choice" in text_of(page)
    assert Recommendation.objects.get().status == RecommendationStatus.OPEN


def test_dismissed_one_is_reopened(operator: Client) -> None:
    found = make_recommendation(status=RecommendationStatus.DISMISSED)

    operator.post(page_of(found, "reopen"))

    assert Recommendation.objects.get().status == RecommendationStatus.OPEN


def test_resolved_one_offers_no_verb(operator: Client) -> None:
    found = make_recommendation(status=RecommendationStatus.RESOLVED)

    page = operator.get(page_of(found)).content.decode()

    assert "/reopen/" not in page
    assert "/dismiss/" not in page
