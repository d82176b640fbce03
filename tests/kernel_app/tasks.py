"""Handlers that do what real ones may: work, sleep, fail, hang, kill their worker."""

from __future__ import annotations

import os
import signal
import time

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
