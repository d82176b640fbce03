"""Moves every sealed value to the current key, in batches that may be killed at any point."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db import models, transaction

from hostmaster.core import crypto
from hostmaster.core.fields import SealedTextField

# A row that changed under our hands was sealed anew by somebody else, at worst by a process that
# still has the old key: looked at again, but not for ever.
_PASSES = 5


@dataclass(frozen=True)
class SealedColumn:
    """One sealed field of one installed model."""

    model: type[models.Model]
    field: str

    @property
    def name(self) -> str:
        return f"{self.model._meta.db_table}.{self.field}"

    def sealed(self) -> models.QuerySet[Any]:
        empty = models.Q(**{f"{self.field}__isnull": True}) | models.Q(**{self.field: ""})
        return self.model._base_manager.exclude(empty)

    def under_old_keys(self) -> models.QuerySet[Any]:
        return self.sealed().exclude(**{f"{self.field}__startswith": crypto.current_prefix()})


@dataclass(frozen=True)
class Unreadable:
    """A sealed value that does not open: where it is and why, never what it holds."""

    table: str
    field: str
    pk: str
    reason: str  # the name of the error


@dataclass
class RotationReport:
    """What a rotation did."""

    resealed: int = 0
    remaining: int = 0  # readable, but changed by others each time we came by
    unreadable: list[Unreadable] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return not (self.remaining or self.unreadable)


def sealed_columns() -> list[SealedColumn]:
    """Every sealed column of every installed model."""
    return [
        SealedColumn(model, column.name)
        for model in apps.get_models(include_auto_created=True)
        if not model._meta.proxy
        for column in model._meta.local_fields
        if isinstance(column, SealedTextField)
    ]


def reseal_column(
    column: SealedColumn,
    report: RotationReport,
    *,
    batch_size: int,
    after_batch: Callable[[], None] = lambda: None,
) -> None:
    """Re-seal what `column` holds under old keys, adding to `report`.

    Each write compares the old ciphertext, so it never undoes a change made meanwhile; after a
    kill the next run goes on where this one stopped. `after_batch` may raise to stop.
    """
    for _ in range(_PASSES):
        unreadable: list[Unreadable] = []
        for rows in _batches(column, batch_size):
            changes = _reseal(column, rows, unreadable)
            report.resealed += _write(column, changes)
            after_batch()
        if column.under_old_keys().count() <= len(unreadable):
            break
    report.unreadable += unreadable
    report.remaining += max(0, column.under_old_keys().count() - len(unreadable))


def _batches(column: SealedColumn, size: int) -> Iterator[list[Any]]:
    rows = column.under_old_keys().only("pk", "tenant_id", column.field).order_by("pk")
    batch = list(rows[:size])
    while batch:
        yield batch
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:size])


def _reseal(
    column: SealedColumn, rows: list[Any], unreadable: list[Unreadable]
) -> list[tuple[Any, str, str]]:
    """(pk, old, new) of each row that opens; the others are added to `unreadable`."""
    changes = []
    for row in rows:
        old = getattr(row, column.field)
        context = crypto.context_for(row, column.field)
        try:
            value = crypto.open(old, context=context)
        except (crypto.SealBrokenError, crypto.UnknownKeyError) as error:
            reason = type(error).__name__
            unreadable.append(Unreadable(context.table, context.field, context.pk, reason))
            continue
        changes.append((row.pk, old, crypto.seal(value, context=context)))
    return changes


def _write(column: SealedColumn, changes: list[tuple[Any, str, str]]) -> int:
    """How many rows still held the old ciphertext and now hold the new one."""
    with transaction.atomic():
        return sum(
            column.model._base_manager.filter(pk=pk, **{column.field: old}).update(
                **{column.field: new}
            )
            for pk, old, new in changes
        )
