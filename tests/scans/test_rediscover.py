"""Asking for a discovery again: debounced by the one that is open."""

from __future__ import annotations

import pytest

from scans.aws.discovery import trigger_rediscovery
from scans.models import ScanJob
from tests.factories import make_account

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def test_asking_for_a_rediscovery_again_and_again_is_one_job() -> None:
    account = make_account()
    first = trigger_rediscovery(account.pk)
    assert {trigger_rediscovery(account.pk).pk for _ in range(5)} == {first.pk}
    first.update_guarded(state="FETCHING")
    assert trigger_rediscovery(str(account.pk)).pk == first.pk  # running is open still
    first.update_guarded(state="COMPLETED")
    assert trigger_rediscovery(account.pk).pk != first.pk
    assert ScanJob.objects.count() == 2
