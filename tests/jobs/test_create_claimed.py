"""A job that its creator runs: no worker ever sees it waiting."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from hostmaster.core.jobs import engine, leases, sweep
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.models import JobEvent
from tests.factories import make_errand, make_tenant
from tests.kernel_app.models import Effect, Errand

# The lease is renewed by a thread, which sees committed rows only.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


def test_a_job_is_created_claimed_and_runs_here() -> None:
    job = Errand(tenant=make_tenant(), run_at=timezone.now() + timedelta(hours=1))
    assert engine.create_claimed(job)
    stored = Errand.objects.get()
    assert (stored.state, stored.attempts) == (Errand.State.RUNNING, 1)
    assert leases.is_ours(stored.lease_owner)
    assert not leases.is_ours("")
    assert not leases.is_ours("another-host/1/0123456789ab")
    assert sweep.ring_due(Lane.SCANS) == 0
    engine.execute(job)
    assert Effect.objects.filter(errand=job).count() == 1
    steps = JobEvent.objects.filter(object_id=str(job.pk)).values_list("to_state", flat=True)
    assert list(steps) == [Errand.State.RUNNING, Errand.State.DONE]


def test_a_job_that_cannot_be_created_is_not_claimed_either() -> None:
    tenant = make_tenant()
    make_errand(tenant=tenant, dedupe_key="one")
    with pytest.raises(IntegrityError):
        engine.create_claimed(Errand(tenant=tenant, dedupe_key="one"))
    assert Errand.objects.get().state == Errand.State.WAITING
    assert not JobEvent.objects.exists()


def test_only_who_keeps_the_time_himself_claims_before_it() -> None:
    job = make_errand(run_at=timezone.now() + timedelta(minutes=1))
    assert not engine.claim(job)
    assert engine.claim(job, early=True)
    assert not engine.claim(Errand.objects.get(), early=True), "it is claimed once"
