"""Columns with a meaning of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    _TextField = models.TextField[str | None, str | None]
else:
    _TextField = models.TextField


class SealedTextField(_TextField):
    """A value sealed by `hostmaster.core.crypto`, null when there is none.

    It stays ciphertext on the instance; opening it is explicit. The class marks the column, so
    `rotate_keys` finds every sealed column of every installed model.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs = {"null": True, "blank": True, "editable": False, **kwargs}
        super().__init__(*args, **kwargs)
