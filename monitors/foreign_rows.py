"""Rows of `monitor_checks` that another program wrote and nobody can read: told of, then let go.

SQLite only. A trigger (migration 0002) reads what can be read, in whatever form it comes, and sets
the rest aside, so that no reader ever meets it.
"""

from __future__ import annotations

import logging
from collections import defaultdict

from django.db import transaction

from hostmaster.core.health import services as system_log
from monitors.models import SetAsideCheck

logger = logging.getLogger(__name__)

BATCH = 1000
NAMED = 5  # of a program that never gets it right, the log need not hold every row


def tell_of_unreadable() -> int:
    """One line in the log, and one in the system log, for each monitor and column. Answers how
    many rows that were."""
    rows = list(SetAsideCheck.objects.order_by("pk")[:BATCH])
    groups: defaultdict[tuple[str, str], list[SetAsideCheck]] = defaultdict(list)
    for row in rows:
        groups[row.monitor_id, row.column_name].append(row)
    with transaction.atomic():
        for group in groups.values():
            _tell(group)
        SetAsideCheck.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def _tell(group: list[SetAsideCheck]) -> None:
    first, named = group[0], ", ".join(_shown(row.check_id) for row in group[:NAMED])
    more = f" and {len(group) - NAMED} more" if len(group) > NAMED else ""
    message = (
        f"Left out of monitor_checks: row {named}{more} of monitor {_shown(first.monitor_id)}, "
        f"whose {first.column_name} cannot be read: {_shown(first.value or '')}."
    )
    logger.warning(message)
    system_log.record("monitors", "warning", message, error_message=first.error_message or "")


def _shown(text: str) -> str:
    """Whatever it is: one line, and not long."""
    return repr(text[:100])
