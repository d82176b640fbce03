"""Rows that several workers may change at once: a version on each, edges as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class InvalidTransitionError(Exception):
    """This change of state is not in the table of allowed transitions."""


class VersionedModel(models.Model):
    """A row with optimistic locking: each guarded write adds one to `version`."""

    version = models.PositiveIntegerField(default=1, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True

    def update_guarded(self, **fields: Any) -> bool:
        """Write `fields` if nobody wrote since this row was read. `False`: somebody was first.

        One UPDATE on pk and version. Expressions are read back, so the instance holds what the
        database holds.
        """
        return self._write_guarded(Q(), fields)

    def _write_guarded(self, guard: Q, fields: Mapping[str, Any]) -> bool:
        manager = type(self)._base_manager
        fields = {"updated_at": timezone.now(), **fields}
        changed = manager.filter(guard, pk=self.pk, version=self.version).update(
            version=F("version") + 1, **fields
        )
        if not changed:
            return False
        self.version += 1
        expressions = [name for name, value in fields.items() if hasattr(value, "as_sql")]
        for name, value in fields.items():
            if name not in expressions:
                setattr(self, name, value)
        if expressions:
            self.refresh_from_db(fields=expressions)
        return True


class StateMachine(VersionedModel):
    """A versioned row whose state moves only along `TRANSITIONS`.

    `STATE_FIELD` names the column. `TRANSITIONS` maps a state to those it may move to.
    """

    STATE_FIELD: ClassVar[str] = "state"
    TRANSITIONS: ClassVar[Mapping[str, frozenset[str]]] = {}

    class Meta:
        abstract = True

    @property
    def current_state(self) -> str:
        return str(getattr(self, self.STATE_FIELD))

    def may_advance(self, to: str) -> bool:
        return to in self.TRANSITIONS.get(self.current_state, frozenset())

    def advance(self, to: str, **fields: Any) -> bool:
        """Move to `to` and write `fields` in one UPDATE on pk, state and version.

        `False`: another worker was first; stop quietly. Raises `InvalidTransitionError` for an
        edge that is not in the table.
        """
        return self._advance(Q(), to, fields)

    def _advance(self, guard: Q, to: str, fields: Mapping[str, Any]) -> bool:
        if not self.may_advance(to):
            raise InvalidTransitionError(
                f"{self._meta.label} {self.pk}: {self.current_state} → {to} is not allowed."
            )
        guard &= Q(**{self.STATE_FIELD: self.current_state})
        return self._write_guarded(guard, {self.STATE_FIELD: str(to), **fields})
