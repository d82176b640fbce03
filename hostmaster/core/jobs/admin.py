"""Jobs and schedules in the admin: rows are read, never written by hand, and operated by verbs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_q import admin as queue_admin
from django_q.models import Failure, OrmQ, Success
from django_q.models import Schedule as QueueSchedule

from hostmaster.core.health.admin import CappedPaginator
from hostmaster.core.jobs import doorbells, operate
from hostmaster.core.jobs.models import DurableJob, JobEvent, ScheduleState
from hostmaster.core.registry import RegistryError, get_registry
from hostmaster.core.web.cells import NOTHING, Tone, badge, instant, shortened, span
from hostmaster.core.web.operated import Button, OperatedAdmin

HISTORY = 200
LATE = timedelta(minutes=1)

# django-q2's own pages are traps: Resubmit makes a second task beside our row, and a schedule
# whose arguments somebody mistyped stops all others. Our rows say what there is to know.
for _model in (QueueSchedule, Success, Failure, OrmQ):
    if queue_admin.admin.site.is_registered(_model):
        queue_admin.admin.site.unregister(_model)

RETRY = Button("retry", "Retry")
RUN_NOW = Button("run-now", "Run now")
CANCEL = Button("cancel", "Cancel", asks_first=True)

_VERBS: Mapping[Button, Callable[..., operate.Done]] = {
    RETRY: operate.retry,
    RUN_NOW: operate.run_now,
    CANCEL: operate.cancel,
}


class StateFilter(admin.SimpleListFilter):
    """Each state, and the questions people ask: what is open, what is dead?"""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        model: type[DurableJob] = model_admin.model
        field: Any = model._meta.get_field(model.STATE_FIELD)
        states = field.choices or []
        named = [(str(value), str(label)) for value, label in states]
        return [("open", "Open"), ("dead", "Dead letters"), *named]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case None:
                return queryset
            case "open":
                return queryset.open()
            case "dead":
                return queryset.dead()
            case state:
                return queryset.in_states(frozenset({state}))


class DurableJobAdmin(OperatedAdmin):
    """The base of every kind of job's admin; a subclass adds columns and fieldsets of its own."""

    change_form_template = "admin/jobs/job.html"
    buttons = (RETRY, RUN_NOW, CANCEL)
    list_display = [
        "__str__",
        "state_badge",
        "attempts_made",
        "next_run",
        "asked",
        "took",
    ]
    list_filter = [StateFilter, "tenant"]
    list_select_related = ["tenant"]
    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator
    actions = ["retry_selected", "run_now_selected", "cancel_selected"]
    job_fields = ("attempts_made", "next_run", "asked", "started", "took", "held_by")
    fields = ["tenant", *job_fields]
    readonly_fields = list(job_fields)

    # Columns

    @admin.display(description="state")
    def state_badge(self, job: DurableJob) -> SafeString:
        """With the last error, while it is what a person wants to know."""
        if not job.errors or job.current_state in {job.DONE_STATE, job.CANCELLED_STATE}:
            return job_badge(job)
        why = shortened(str(job.errors[-1].get("message", "")))
        return format_html('{}<span class="why">{}</span>', job_badge(job), why)

    @admin.display(description="attempts", ordering="attempts")
    def attempts_made(self, job: DurableJob) -> str:
        try:
            return f"{job.attempts} of {job.attempts_allowed()}"
        except RegistryError:  # a kind that is no more
            return str(job.attempts)

    @admin.display(description="next run", ordering="run_at")
    def next_run(self, job: DurableJob) -> SafeString | str:
        if job.current_state != job.WAITING_STATE:
            return NOTHING
        is_due = job.run_at <= timezone.now()
        return format_html("due {}", instant(job.run_at)) if is_due else instant(job.run_at)

    @admin.display(description="asked for", ordering="created_at")
    def asked(self, job: DurableJob) -> SafeString | str:
        return instant(job.created_at)

    @admin.display(ordering="started_at")
    def started(self, job: DurableJob) -> SafeString | str:
        return instant(job.started_at)

    @admin.display
    def took(self, job: DurableJob) -> str:
        if job.started_at is None:
            return NOTHING
        if job.is_running:
            return f"{span(timezone.now() - job.started_at)} so far"
        return span(job.finished_at - job.started_at) if job.finished_at else NOTHING

    @admin.display
    def held_by(self, job: DurableJob) -> SafeString | str:
        if not job.lease_owner:
            return NOTHING
        return format_html("{}, lease until {}", job.lease_owner, instant(job.lease_until))

    # The page of one job

    def is_offered(self, button: Button, row: DurableJob) -> bool:
        if button == RETRY:
            return row.is_dead
        return row.is_open if button == CANCEL else row.current_state == row.WAITING_STATE

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {
            "badge": job_badge(row),
            "attempts": self.attempts_made(row),
            "errors_by_attempt": [_error_row(entry) for entry in reversed(row.errors)],
            "job_history": [_event_row(event) for event in _history(row)],
        }

    # Verbs

    def press(
        self, request: HttpRequest, button: Button, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        if button.asks_first and "confirmed" not in request.POST:
            return self._confirm(request, button, rows)
        done = _VERBS[button](rows, actor=f"user {request.user.get_username()}")
        level = messages.SUCCESS if done.changed and not done.others else messages.WARNING
        self.message_user(request, self.told(done.changed, done.word, done.others), level)
        return None

    @admin.action(description="Retry the selected dead letters", permissions=["operate"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self.press(request, RETRY, queryset)

    @admin.action(description="Run the selected waiting jobs now", permissions=["operate"])
    def run_now_selected(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        return self.press(request, RUN_NOW, queryset)

    @admin.action(description="Cancel the selected open jobs", permissions=["operate"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self.press(request, CANCEL, queryset)

    def _confirm(self, request: HttpRequest, button: Button, rows: QuerySet[Any]) -> HttpResponse:
        jobs = [job for job in rows if self.is_offered(button, job)]
        context = {
            **self.admin_site.each_context(request),
            "title": f"{button.label} {self.noun(len(jobs))}?",
            "opts": self.opts,
            "noun": self.noun(len(jobs)),
            "jobs": [
                (job, self.name_of(job), job_badge(job), self.address("change", job))
                for job in jobs
            ],
            "action": request.POST.get("action", ""),
            "list_url": reverse(self.page_name("changelist")),
        }
        return TemplateResponse(request, "admin/jobs/cancel.html", context)


def job_badge(job: DurableJob) -> SafeString:
    """The state of any job, by what it means."""
    word = str(getattr(job, f"get_{job.STATE_FIELD}_display")())
    if job.current_state == job.DONE_STATE:
        return badge("✓", word, Tone.GOOD)
    if job.is_dead:
        return badge("✗", word, Tone.BAD)
    if job.is_running:
        return badge("►", word, Tone.BUSY)
    if job.current_state == job.WAITING_STATE and job.attempts:
        return badge("↻", f"{word} again", Tone.WARN)
    return badge("○" if job.is_open else "–", word, Tone.CALM)


def _history(job: DurableJob) -> list[JobEvent]:
    events = JobEvent.objects.filter(label=job._meta.label, object_id=str(job.pk))
    return list(events.order_by("-at", "-pk")[:HISTORY])


def _event_row(event: JobEvent) -> dict[str, Any]:
    return {
        "at": instant(event.at),
        "change": str(event),
        "actor": shortened(event.actor, 40),
        "reason": event.reason,
    }


def _error_row(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "at": instant(parse_datetime(str(entry.get("at", ""))))}


@admin.register(ScheduleState)
class ScheduleStateAdmin(OperatedAdmin):
    """Periodic work. When and what is code; here one sees how it fared, and may run it now."""

    buttons = (RUN_NOW,)
    list_display = ["name", "fared", "last_run", "duration", "upcoming", "cron_text", "lane"]
    list_filter = ["lane"]
    search_fields = ["name", "description"]
    actions = ["run_selected_now"]
    readonly_fields = ["cron_text", "fared", "last_run", "duration", "counted", "upcoming"]
    fields = ["description", "lane", *readonly_fields, "last_error"]

    @admin.display(description="state")
    def fared(self, state: ScheduleState) -> SafeString:
        if state.is_late(timezone.now(), LATE):
            return badge("!", "Late", Tone.WARN)
        if state.last_started_at is None:
            return badge("○", "Not run yet", Tone.CALM)
        if state.last_finished_at is None or state.last_finished_at < state.last_started_at:
            return badge("►", "Running", Tone.BUSY)
        return badge("✗", "Failed", Tone.BAD) if state.last_error else badge("✓", "Ran", Tone.GOOD)

    @admin.display(description="cron (seconds last)")
    def cron_text(self, state: ScheduleState) -> SafeString:
        return format_html("<code>{}</code>", state.cron)

    @admin.display(description="last run", ordering="last_started_at")
    def last_run(self, state: ScheduleState) -> SafeString | str:
        return instant(state.last_started_at)

    @admin.display(ordering="last_duration_seconds")
    def duration(self, state: ScheduleState) -> str:
        seconds = state.last_duration_seconds
        return NOTHING if seconds is None else span(timedelta(seconds=seconds))

    @admin.display(description="next run", ordering="next_run_at")
    def upcoming(self, state: ScheduleState) -> SafeString | str:
        return instant(state.next_run_at)

    @admin.display(description="worked on")
    def counted(self, state: ScheduleState) -> str:
        if state.last_processed is None:
            return NOTHING
        return f"{state.last_processed}: {state.last_succeeded} well, {state.last_failed} failed"

    def press(
        self, request: HttpRequest, button: Button, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        known = get_registry().schedules
        rung = [state for state in rows if state.name in known]
        for state in rung:
            doorbells.ring_schedule(state.name)
        if rung:
            text = format_html("Asked the workers to run {}.", self.links(rung))
            self.message_user(request, text, messages.SUCCESS)
        else:
            self.message_user(request, "The code has no such schedule any more.", messages.WARNING)
        return None

    @admin.action(description="Run the selected schedules now", permissions=["operate"])
    def run_selected_now(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        return self.press(request, RUN_NOW, queryset)
