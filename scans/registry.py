"""What the scans app offers to the kernel."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.jobs.retry import RetryPolicy
from hostmaster.core.registry import AppRegistry, JobKind, Metric, Retention, Schedule

MODEL = "scans.ScanJob"
KEEP_GONE = timedelta(days=90)
KEEP_HISTORY = timedelta(days=180)
KEEP_METRICS = timedelta(days=30)
KEEP_COSTS = timedelta(days=400)  # a year to compare with, and the month before it


def aws_cap() -> int:
    """AWS scans at once in one lane process: one worker stays free for pages."""
    return max(1, int(settings.WORKER_CONCURRENCY) - 1)


def of_aws(kind: str, tasks: str, handler: str, *, minutes: int) -> JobKind:
    return JobKind(
        model=MODEL,
        kind=kind,
        handler=f"{tasks}.{handler}",
        after_settle=f"{tasks}.after_settle",
        lane=Lane.SCANS,
        deadline=timedelta(minutes=minutes),
        cap=aws_cap,
        cap_group="aws",
    )


REGISTRY = AppRegistry(
    jobs=(
        of_aws("discovery", "scans.aws.tasks", "handle_discovery", minutes=10),
        of_aws("aws", "scans.aws.tasks", "handle_aws_scan", minutes=30),
        of_aws("cost", "scans.aws.costs.tasks", "handle_cost_refresh", minutes=10),
        JobKind(
            model=MODEL,
            kind="url",
            handler="scans.urls.tasks.handle_url_scan",
            lane=Lane.SCANS,
            deadline=timedelta(milliseconds=settings.CONTAINER_TIMEOUT_MS, seconds=10),
            retry=RetryPolicy(max_attempts=None),
        ),
    ),
    schedules=(
        Schedule(
            name="aws_scans",
            run="scans.aws.schedules.request_due_scans",
            cron="*/10 * * * * 0",
            lane=Lane.DEFAULT,
            description="Asks for a scan of each account once a day.",
        ),
        Schedule(
            name="costs",
            run="scans.aws.costs.services.request_due_costs",
            cron="*/15 * * * * 15",
            lane=Lane.DEFAULT,
            description="Asks for the costs of each account once a day, where no scan did.",
        ),
        Schedule(
            name="prices",
            run="scans.aws.prices.tasks.refresh_due_prices",
            cron="7 * * * * 0",
            lane=Lane.SCANS,
            description="Fetches the list prices of each region in use once a day.",
        ),
        Schedule(
            name="forget_credentials",
            run="scans.aws.schedules.forget_expired_credentials",
            cron="*/10 * * * * 30",
            lane=Lane.DEFAULT,
            description="Forgets credentials that came with a scan nobody ran in time.",
        ),
    ),
    metrics=(Metric("aws_calls_total", "Requests to AWS by scans.", ("service", "outcome")),),
    retention=(
        Retention(model=MODEL, instant="finished_at", keep=KEEP_HISTORY),
        Retention(model="scans.Instance", instant="gone_at", keep=KEEP_GONE),
        Retention(model="scans.Resource", instant="gone_at", keep=KEEP_GONE),
        Retention(model="scans.MetricSummary", instant="computed_at", keep=KEEP_METRICS),
        Retention(model="scans.Recommendation", instant="resolved_at", keep=KEEP_HISTORY),
        Retention(model="scans.CostRecord", instant="fetched_at", keep=KEEP_COSTS),
        Retention(model="scans.CostAnomaly", instant="last_seen_at", keep=KEEP_COSTS),
        Retention(model="scans.BudgetBreach", instant="found_at", keep=KEEP_COSTS),
        Retention(model="scans.PriceItem", instant="fetched_at", keep=KEEP_METRICS),
    ),
)
