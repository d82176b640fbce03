"""A database that takes what it is asked and never answers, and no error comes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from django.db import connection

from tests.concurrency.processes import alive, family, stop, wait_for
from tests.factories import make_errand
from tests.kernel_app.models import Errand
from tests.projects import Project

pytestmark = [
    pytest.mark.services,
    pytest.mark.timeout(180),
    pytest.mark.parametrize("project_env", ["postgresql"], indirect=True),
]


@contextmanager
def silenced() -> Iterator[None]:
    """The server's processes for this database stand still; ours is not among them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        servers = [row[0] for row in cursor.fetchall()]
    assert servers
    _send(servers, signal.SIGSTOP)
    try:
        yield
    finally:
        _send(servers, signal.SIGCONT)


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def is_done(job: Errand) -> bool:
    return Errand.objects.filter(pk=job.pk, state=Errand.State.DONE).exists()


def test_who_gets_no_answer_leaves_and_whoever_is_started_next_works(project_env: Project) -> None:
    cluster = project_env.start("qcluster", "--lane", "scans", WATCHDOG_SECONDS="5")
    first = make_errand()
    wait_for(lambda: is_done(first), 60, "it works")
    everyone = family(cluster)
    with silenced():
        assert cluster.wait(60) == -signal.SIGALRM, project_env.log(cluster)
        wait_for(lambda: not alive(everyone), 30, "nothing is left of it")
        second = make_errand()
        heir = project_env.start("qcluster", "--lane", "scans")
        wait_for(lambda: is_done(second), 60, "the heir has connections of its own")
    assert stop(heir, 30) == 0, project_env.log(heir)


def test_told_to_stop_it_ends_within_its_grace_without_an_answer(project_env: Project) -> None:
    cluster = project_env.start("qcluster", "--lane", "scans")
    job = make_errand()
    wait_for(lambda: is_done(job), 60, "it works")
    everyone = family(cluster)
    with silenced():
        cluster.terminate()
        cluster.wait(60)
        wait_for(lambda: not alive(everyone), 30, "nothing is left of it")
