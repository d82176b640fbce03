"""List prices in the database: kept fresh once a day, read into one book a scan."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from hostmaster.core import logs
from scans.aws.clients import AwsSession
from scans.aws.costs.calls import CallEnd
from scans.aws.errors import AWS_ERRORS, Outcome, UnitOutcome, classify
from scans.aws.prices.api import PRICING_REGION, QUERIES, PriceRow, Query, ask
from scans.aws.prices.book import PriceBook, book_of
from scans.aws.prices.figures import FALLBACK_REGION
from scans.models import Account, Instance, PriceFetch, PriceItem, Resource

logger = logging.getLogger(__name__)

BATCH = 500
FRESH = timedelta(hours=23)  # a daily refresh finds yesterday's due
USABLE = timedelta(days=30)  # older rows are no better than the built-in table
CALL, IAM_ACTION = "GetProducts", "pricing:GetProducts"


def load_book(account: Account) -> PriceBook:
    """The prices of the regions the account has anything in, and of the one that stands in."""
    regions = regions_in_use([account]) | {FALLBACK_REGION}
    items = PriceItem.objects.filter(region__in=regions, fetched_at__gte=timezone.now() - USABLE)
    return book_of(items.iterator(chunk_size=BATCH))


def regions_in_use(accounts: Iterable[Account]) -> set[str]:
    """Where the accounts have anything."""
    found: set[str] = set()
    for model in (Instance, Resource):
        present = model.objects.present().filter(account__in=list(accounts))
        found |= set(present.order_by().values_list("region", flat=True).distinct())
    return found - {"", "global"}


def due_regions(regions: Iterable[str]) -> list[str]:
    """Those whose prices nobody asked for since yesterday, however it ended."""
    recent = PriceFetch.objects.filter(tried_at__gte=timezone.now() - FRESH)
    return sorted(set(regions) - set(recent.values_list("region", flat=True)))


def refresh_prices(session: AwsSession, region: str) -> CallEnd:
    """Ask for everything rules need in one region. A failure is an end, not an error: what is
    stored stays, and where nothing is the built-in table stands in."""
    client = session.client("pricing", PRICING_REGION)
    progress = _Progress()
    outcome = UnitOutcome(Outcome.OK)
    try:
        for query in QUERIES:
            _fetch(client, query, region, progress)
    except AWS_ERRORS as error:
        outcome = classify(error, region=PRICING_REGION, iam_action=IAM_ACTION)
    _note(region, outcome, progress)
    return CallEnd(
        "pricing", CALL, outcome, region=region, rows=progress.rows, calls=progress.calls
    )


def price_ends(regions: Iterable[str]) -> list[CallEnd]:
    """How the prices of these regions stand, for a scan's coverage map: no request is sent."""
    return [
        CallEnd(
            "pricing",
            CALL,
            UnitOutcome(
                Outcome(fetch.outcome), fetch.error_code, _age(fetch), fetch.missing_action
            ),
            region=fetch.region,
            rows=fetch.rows,
        )
        for fetch in PriceFetch.objects.filter(region__in=list(regions))
    ]


@dataclass
class _Progress:
    rows: int = 0
    calls: int = 0


def _fetch(client: object, query: Query, region: str, progress: _Progress) -> None:
    for page in ask(client, query, region):
        progress.calls += 1
        progress.rows += len(page)
        store_rows(page)


def store_rows(rows: Sequence[PriceRow]) -> None:
    """Insert or update; one price of a key, the last told."""
    now = timezone.now()
    by_key = {(row.region, row.sku_kind, row.key): row for row in rows}
    PriceItem.objects.bulk_create(
        [
            PriceItem(
                region=row.region,
                sku_kind=row.sku_kind,
                key=row.key,
                usd=row.usd,
                unit=row.unit[:20],
                effective_from=row.effective_from,
                fetched_at=now,
            )
            for _, row in sorted(by_key.items())
        ],
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["region", "sku_kind", "key"],
        update_fields=["usd", "unit", "effective_from", "fetched_at"],
    )


def _note(region: str, outcome: UnitOutcome, progress: _Progress) -> None:
    now = timezone.now()
    is_ok = outcome.outcome == Outcome.OK
    told = {
        "outcome": outcome.outcome.value,
        "error_code": outcome.code,
        "message": logs.mask(outcome.message),
        "missing_action": outcome.missing_action,
        "tried_at": now,
        "rows": progress.rows,
        "calls": progress.calls,
        **({"fetched_at": now} if is_ok else {}),
    }
    PriceFetch.objects.update_or_create(region=region, defaults=told)
    if not is_ok:
        logger.warning("prices of %s: %s %s", region, outcome.outcome.value, outcome.code)


def _age(fetch: PriceFetch) -> str:
    if fetch.outcome == Outcome.OK:
        return f"Prices of {fetch.tried_at:%Y-%m-%d}."
    since = (
        f"those of {fetch.fetched_at:%Y-%m-%d} are used"
        if fetch.fetched_at
        else "the built-in table is used"
    )
    return f"Not refreshed on {fetch.tried_at:%Y-%m-%d}, {since}. {fetch.message}"[:300]
