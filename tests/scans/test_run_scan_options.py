"""What `manage.py run_scan` accepts, and how it ends: in this process, without AWS."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from scans.management.commands.run_scan import is_as_bad
from scans.models import Account, ScanJob
from scans.services import add_account
from tests.factories import make_account, make_tenant


def make_keyed_account() -> Account:
    return add_account(
        make_tenant(),
        name="Production",
        role_arn="arn:aws:iam::123456789012:role/hostmaster",
    )


def call(*arguments: str) -> tuple[str, CommandError | None]:
    """In this process: what it wrote to stdout and how it ended."""
    out = StringIO()
    try:
        call_command("run_scan", *arguments, stdout=out)
    except CommandError as error:
        return out.getvalue(), error
    return out.getvalue(), None


@pytest.mark.django_db(transaction=True)
def test_a_page_cannot_be_scanned_yet_and_says_so() -> None:
    make_tenant()
    out, error = call("--url", "https://example.com/", "--json")
    scan = json.loads(out)
    assert (scan["kind"], scan["state"]) == ("url", "FAILED")
    assert error is not None
    assert error.returncode == 1
    assert "has no page fetcher" in str(error)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--account Nobody", "There is no account 'Nobody'. There is: 'Production'"),
        ("--account Production --regions mars", "is not a region"),
        ("--account Production --tenant nobody", "There is no tenant"),
        ("--account Production --fail-on malicious", "--url"),
        ("--account Bare", "--current-credentials"),
        ("--url ftp://example.com/", "http"),
        ("--url https://example.com/ --regions eu-west-1", "--regions"),
        ("--current-credentials --queue", "--queue"),
        ("--account Production --queue --no-retry", "--queue"),
    ],
)
def test_wrong_use_says_what_is_wrong_and_asks_for_nothing(arguments: str, says: str) -> None:
    account = make_keyed_account()
    if "Bare" in arguments:
        make_account(tenant=account.tenant, name="Bare")
    _, error = call(*arguments.split())
    assert error is not None
    assert says in str(error)
    assert error.returncode == 2
    assert not ScanJob.objects.exists()


@pytest.mark.django_db
def test_with_several_tenants_one_is_named() -> None:
    account = make_keyed_account()
    other = make_tenant(name="Other")
    _, error = call("--account", "Production", "--queue")
    assert "--tenant" in str(error)
    # Names are a tenant's own: the other has no such account, not even by its id.
    for name in ("Production", str(account.pk)):
        _, error = call("--account", name, "--tenant", str(other.pk), "--queue")
        assert "There is no account" in str(error)
    out, error = call("--account", "Production", "--tenant", account.tenant.name, "--queue")
    assert error is None
    assert out.strip() == str(ScanJob.objects.get().pk)


@pytest.mark.parametrize(
    ("verdict", "fail_on", "is_met"),
    [
        ("malicious", "malicious", True),
        ("malicious", "suspicious", True),
        ("suspicious", "suspicious", True),
        ("suspicious", "malicious", False),
        ("benign", "suspicious", False),
        ("unknown", "suspicious", False),
        ("malicious", None, False),
    ],
)
def test_a_verdict_is_judged_against_the_one_named(
    verdict: str, fail_on: str | None, is_met: bool
) -> None:
    job = ScanJob(kind="url", url="https://example.com/", summary={"verdict": verdict})
    assert is_as_bad(job, fail_on) is is_met
