"""Rows of an account: their tenant is the account's, whoever writes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from django.db import models

Row = TypeVar("Row", bound=models.Model)


class ForeignAccountError(ValueError):
    """A row names an account of another tenant."""


def fill_tenant(row: Any) -> None:
    """Give `row` its account's tenant. Raises `ForeignAccountError` when it names another."""
    if row.account_id is None:
        return
    if row.tenant_id is None:
        row.tenant_id = row.account.tenant_id
    elif row._state.adding and row.tenant_id != row.account.tenant_id:
        raise ForeignAccountError(f"Account {row.account_id} belongs to another tenant.")


def filled(rows: Iterable[Row]) -> list[Row]:
    """`rows` with their tenants, for a `bulk_create`, which calls no `save()`."""
    complete = list(rows)
    for row in complete:
        fill_tenant(row)
    return complete


class OwnedQuerySet(models.QuerySet[Any]):
    """Rows of accounts; a bulk_create fills in their tenants."""

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        return super().bulk_create(filled(objs), *args, **kwargs)


class AccountOwned(models.Model):
    """A row of an account. `Model(account=a)` is enough: the tenant follows."""

    tenant = models.ForeignKey("tenants.Tenant", models.CASCADE, related_name="+", editable=False)
    account = models.ForeignKey("scans.Account", models.CASCADE, related_name="%(class)ss")

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        fill_tenant(self)
        super().save(*args, **kwargs)
