"""Handlers that do what real ones may: work, sleep, fail, hang, kill their worker."""

from __future__ import annotations

import os
import signal
import time

from django.db import connection, transaction
from django.utils import timezone

from hostmaster.core.jobs.drains import Turn
from hostmaster.core.jobs.retry import PermanentError
from hostmaster.core.jobs.schedules import JobReport
from tests.kernel_app.models import Effect, Errand, Parcel, Start

SLOW_PARCEL_SECONDS = 0.2


def _start(job: Errand) -> None:
    Start.objects.create(errand=job, pid=os.getpid())


def handle_note(job: Errand) -> None:
    _start(job)
    time.sleep(job.seconds)


handle_quick = handle_note
handle_capped = handle_note


def handle_sleep(job: Errand) -> None:
    _start(job)
    ends = time.monotonic() + job.seconds
    while time.monotonic() < ends:
        time.sleep(0.05)
        job.ensure_claimed()


def handle_stubborn(job: Errand) -> None:
    """Deaf to the polite way out, as a call into C may be."""
    _start(job)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    time.sleep(job.seconds)


def handle_query(job: Errand) -> None:
    """Long in the database itself, in a transaction that has written."""
    with transaction.atomic():
        _start(job)
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.connection.create_function("pg_sleep", 1, _told_in_a_function)
            cursor.execute("SELECT pg_sleep(%s)", [job.seconds])


def _told_in_a_function(seconds: float) -> None:
    """In C nothing interrupts SQLite; what Django gives it in Python can be."""
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(seconds)


def handle_torn(job: Errand) -> None:
    """Told to stop where Django thinks itself in a transaction and no one will end it."""
    transaction.atomic().__enter__()
    _start(job)
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(job.seconds)


class _Deaf:
    """Python drops what is raised in a `__del__`."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)


def handle_deaf(job: Errand) -> None:
    """The first word to stop is lost; another comes when the first had its time."""
    _start(job)
    _Deaf()
    ends = time.monotonic() + job.seconds
    while time.monotonic() < ends:
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGUSR1)


def handle_overrun(job: Errand) -> None:
    _start(job)
    time.sleep(30)


def handle_fail(job: Errand) -> None:
    _start(job)
    if job.attempts <= job.seconds:  # `seconds`: how many attempts fail
        raise ValueError(f"attempt {job.attempts} fails")


def handle_refuse(job: Errand) -> None:
    _start(job)
    raise PermanentError("never")


def handle_die(job: Errand) -> None:
    _start(job)
    os.kill(os.getpid(), signal.SIGKILL)


def after_settle(job: Errand, error: BaseException | None) -> None:
    if error is None:
        Effect.objects.create(errand=job)


def answer_bell(word: str) -> None:
    Parcel.objects.create(drain=word, delivered_at=timezone.now())


def slow_due() -> bool:
    return Parcel.objects.filter(drain="slow", delivered_at=None).exists()


def urgent_due() -> bool:
    return Parcel.objects.filter(drain="urgent", delivered_at=None).exists()


def drain_slow(turn: Turn) -> int:
    return _drain("slow", turn, SLOW_PARCEL_SECONDS)


def drain_urgent(turn: Turn) -> int:
    return _drain("urgent", turn, 0)


def _drain(name: str, turn: Turn, seconds: float) -> int:
    done = 0
    while not turn.is_over():
        parcel = Parcel.objects.filter(drain=name, delivered_at=None).order_by("pk").first()
        if parcel is None:
            break
        time.sleep(seconds)
        Parcel.objects.filter(pk=parcel.pk).update(delivered_at=timezone.now())
        done += 1
    return done


def tick() -> JobReport:
    Parcel.objects.create(drain="tick", delivered_at=timezone.now())
    return JobReport(processed=1, succeeded=1)


def broken_tick() -> JobReport:
    raise RuntimeError("this schedule always fails")
