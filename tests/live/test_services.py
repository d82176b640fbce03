"""What the rest of the product tells the pages."""

from __future__ import annotations

import pytest

from hostmaster.core.jobs import engine
from hostmaster.core.live.models import LiveEvent
from tests.factories import make_errand

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def test_each_step_of_a_job_is_told_to_its_tenant() -> None:
    job = make_errand()
    assert engine.claim(job)
    (told,) = LiveEvent.objects.all()
    assert (told.tenant, told.topic) == (job.tenant, "job")
    assert told.data == {
        "label": "kernel_app.Errand",
        "id": str(job.pk),
        "kind": job.kind_name(),
        "from": "waiting",
        "to": "running",
    }
