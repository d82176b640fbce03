"""The text of /metrics: declared families filled from counter rows and from gauges read now."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from django.db import DatabaseError
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from hostmaster.core.health.probe import database_probe
from hostmaster.core.logs import exception_text
from hostmaster.core.metrics.models import Counter
from hostmaster.core.metrics.services import BUCKET_NAMES
from hostmaster.core.registry import Metric, get_registry, resolve

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

logger = logging.getLogger(__name__)

Series = list[tuple[dict[str, str], float]]


def exposition() -> bytes:
    """All families in Prometheus' text format."""
    return generate_latest(_Families())


class _Families(Collector):
    def collect(self) -> Iterator[Family]:
        """What can be read; the last two families tell how the reading itself went."""
        failed: dict[str, float] = {}
        reachable = database_probe.is_reachable()
        if reachable:
            yield from _declared_families(failed)
        up = GaugeMetricFamily("database_up", "1 when the database answers.")
        up.add_metric([], float(reachable))
        yield up
        errors = GaugeMetricFamily(
            "scrape_errors", "Families that could not be read in this scrape.", labels=["family"]
        )
        for name, count in failed.items():
            errors.add_metric([name], count)
        yield errors


def _declared_families(failed: dict[str, float]) -> Iterator[Family]:
    try:
        rows = _counter_rows()
    except DatabaseError as error:
        logger.warning("counters cannot be read: %s", exception_text(error))
        failed["metric_counters"] = 1
        rows = {}
    for metric in get_registry().metrics.values():
        try:
            yield _family(metric, rows)
        except Exception as error:  # noqa: BLE001 one broken gauge must not blind all others
            logger.warning("metric %s cannot be read: %s", metric.name, exception_text(error))
            failed[metric.name] = 1


def _counter_rows() -> dict[str, Series]:
    rows: dict[str, Series] = defaultdict(list)
    for name, labels, value in Counter.objects.values_list("name", "labels", "value"):
        rows[name].append((json.loads(labels), value))
    return rows


def _family(metric: Metric, rows: Mapping[str, Series]) -> Family:
    if metric.type == "gauge":
        return _gauge(metric, list(resolve(metric.read)()))
    if metric.type == "histogram":
        return _histogram(
            metric, rows.get(f"{metric.name}_bucket", []), rows.get(f"{metric.name}_sum", [])
        )
    return _counter(metric, rows.get(metric.name, []))


def _gauge(metric: Metric, series: Series) -> GaugeMetricFamily:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in series:
        family.add_metric(_values(metric, labels), value)
    return family


def _counter(metric: Metric, series: Series) -> CounterMetricFamily:
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in series:
        family.add_metric(_values(metric, labels), value)
    return family


def _histogram(metric: Metric, buckets: Series, sums: Series) -> HistogramMetricFamily:
    """Rows count their own bucket; Prometheus wants each to hold all smaller ones too."""
    counts: dict[tuple[str, ...], dict[str, float]] = {}
    for labels, value in buckets:
        counts.setdefault(tuple(_values(metric, labels)), {})[labels["le"]] = value
    totals = {tuple(_values(metric, labels)): value for labels, value in sums}
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for values, own in counts.items():
        cumulated, running = [], 0.0
        for name in sorted({*own, *BUCKET_NAMES}, key=float):
            running += own.get(name, 0.0)
            cumulated.append((name, running))
        family.add_metric(values, cumulated, totals.get(values, 0.0))
    return family


def _values(metric: Metric, labels: Mapping[str, str]) -> list[str]:
    return [labels[name] for name in metric.labels]
