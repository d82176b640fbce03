"""Every stored secret moves to the current key, whatever interrupts it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django.fixtures import Settings

from hostmaster.core import crypto, rotation
from hostmaster.core.crypto import context_for, current_prefix
from hostmaster.core.tenants.models import Tenant
from scans.models import Account, ScanJob
from tests.factories import make_account, make_tenant
from tests.projects import Project

FIELD = "credentials_sealed"
OLD, NEW, LOST = "ab" * 32, "cd" * 32, "ef" * 32


def use_keys(settings: Settings, current: str, *old: str) -> None:
    settings.ENCRYPTION_KEY, settings.ENCRYPTION_KEYS_OLD = current, list(old)


def make_sealed(value: str, tenant: Tenant) -> Account:
    account = make_account(tenant=tenant)
    account.credentials_sealed = crypto.seal(value, context=context_for(account, FIELD))
    account.save()
    return account


def opened(account: Account) -> Any:
    account.refresh_from_db()
    return crypto.open(account.credentials_sealed or "", context=context_for(account, FIELD))


def rotate(*arguments: str) -> str:
    out = StringIO()
    call_command("rotate_keys", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.mark.both_databases
@pytest.mark.django_db
def test_all_open_with_the_new_key_alone(settings: Settings) -> None:
    use_keys(settings, OLD)
    tenant = make_tenant()
    accounts = [make_sealed(f"secret {n}", tenant) for n in range(7)]
    without = make_account(tenant=tenant)
    use_keys(settings, NEW, OLD)
    assert "7 re-sealed, 0 unreadable." in rotate("--batch", "3")
    use_keys(settings, NEW)
    assert [opened(account) for account in accounts] == [f"secret {n}" for n in range(7)]
    without.refresh_from_db()
    assert without.credentials_sealed is None


@pytest.mark.django_db
def test_second_run_writes_nothing(settings: Settings) -> None:
    use_keys(settings, NEW)
    account = make_sealed("secret", make_tenant())
    before = account.credentials_sealed
    assert "0 re-sealed" in rotate()
    account.refresh_from_db()
    assert account.credentials_sealed == before


@pytest.mark.django_db
def test_unreadable_values_are_named_by_row_and_the_others_are_moved(settings: Settings) -> None:
    tenant = make_tenant()
    use_keys(settings, LOST)
    lost = make_sealed("lost secret", tenant)
    use_keys(settings, OLD)
    good, moved = make_sealed("secret", tenant), make_account(tenant=tenant)
    moved.credentials_sealed = good.credentials_sealed
    moved.save()
    use_keys(settings, NEW, OLD)
    out = StringIO()
    with pytest.raises(CommandError, match="2 stored secrets do not open") as error:
        call_command("rotate_keys", "--json", "--batch", "1", stdout=out, stderr=StringIO())
    assert error.value.returncode == 1
    report = json.loads(out.getvalue())
    assert (report["resealed"], report["remaining"]) == (1, 0)
    assert {(item["table"], item["pk"], item["reason"]) for item in report["unreadable"]} == {
        ("accounts", str(lost.pk), "UnknownKeyError"),
        ("accounts", str(moved.pk), "SealBrokenError"),
    }
    use_keys(settings, NEW)
    assert opened(good) == "secret"


@pytest.mark.both_databases
@pytest.mark.django_db
def test_value_changed_meanwhile_is_not_undone(settings: Settings) -> None:
    use_keys(settings, OLD)
    account = make_sealed("before", make_tenant())
    use_keys(settings, NEW, OLD)
    raced: list[str] = []

    def change_first(execute: Any, sql: str, *arguments: Any) -> Any:
        # A process that still has the old key writes between our read and our write.
        if sql.startswith("UPDATE") and not raced:
            raced.append(sql)
            use_keys(settings, OLD)
            account.credentials_sealed = crypto.seal("after", context=context_for(account, FIELD))
            use_keys(settings, NEW, OLD)
            account.save()
        return execute(sql, *arguments)

    with connection.execute_wrapper(change_first):
        assert "1 re-sealed" in rotate()
    assert raced
    use_keys(settings, NEW)
    assert opened(account) == "after"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("key", "fix"), [("", "ENCRYPTION_KEY is not set"), ("x", "64 hexadecimal")]
)
def test_unusable_key_is_told_with_its_fix(key: str, fix: str, settings: Settings) -> None:
    use_keys(settings, key)
    with pytest.raises(CommandError, match=fix):
        rotate()


@pytest.mark.django_db
def test_senseless_batch_is_wrong_use() -> None:
    with pytest.raises(CommandError, match="--batch") as error:
        rotate("--batch", "0")
    assert error.value.returncode == 2


def test_every_sealed_column_is_found() -> None:
    found = {column.name for column in rotation.sealed_columns()}
    assert {f"accounts.{FIELD}", f"scan_jobs.{FIELD}"} <= found
    assert {column.model for column in rotation.sealed_columns()} >= {Account, ScanJob}


ROWS = 1500  # a busy machine must not rotate them all between two looks


def fill(tenant: Tenant) -> list[Account]:
    accounts = [Account(pk=uuid4(), tenant=tenant, name=f"account {n}") for n in range(ROWS)]
    for n, account in enumerate(accounts):
        account.credentials_sealed = crypto.seal(
            {"secret_access_key": f"secret {n}"}, context=context_for(account, FIELD)
        )
    return Account.objects.bulk_create(accounts)


def moved_rows() -> int:
    return Account.objects.filter(credentials_sealed__startswith=current_prefix()).count()


def wait_for_some(process: subprocess.Popen[bytes]) -> None:
    """Until some rows are moved and others are not."""
    give_up = time.monotonic() + 60
    while not 0 < moved_rows() < ROWS:
        assert process.poll() is None, "rotated everything before it could be interrupted"
        assert time.monotonic() < give_up
        time.sleep(0.005)


@pytest.mark.services
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_interrupted_rotation_is_finished_by_the_next(
    number: signal.Signals, project_env: Project, settings: Settings
) -> None:
    use_keys(settings, OLD)
    accounts = fill(make_tenant())
    use_keys(settings, NEW, OLD)
    project_env.environment |= {"ENCRYPTION_KEY": NEW, "ENCRYPTION_KEYS_OLD": OLD}
    process = project_env.start("rotate_keys", "--batch", "1")
    wait_for_some(process)
    process.send_signal(number)
    code = process.wait(timeout=60)
    assert code == (-signal.SIGKILL if number is signal.SIGKILL else 130)
    moved = moved_rows()
    assert 0 < moved < ROWS

    finished = project_env.manage("rotate_keys", "--json")
    assert json.loads(finished.stdout) == {
        "resealed": ROWS - moved,
        "remaining": 0,
        "unreadable": [],
    }
    use_keys(settings, NEW)
    for n, account in enumerate(accounts):
        assert opened(account) == {"secret_access_key": f"secret {n}"}
