"""A wrong setting is a system check that names the remedy, in the process that would suffer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings

from hostmaster import checks
from hostmaster.core.jobs.lanes import Lane
from hostmaster.core.registry import JobKind, Registry, Retention, get_registry
from tests.projects import ROOT, project_environment

PRODUCTION = {
    "ENV": "production",
    "PUBLIC_URL": "https://hostmaster.example",
    "DATABASE_URL": "postgresql://u:p@db/hostmaster",
}


def run_check(**environment: str) -> subprocess.CompletedProcess[str]:
    """`manage.py check` as people run it, DEBUG unset."""
    base = project_environment(f"sqlite:///{os.devnull}")
    del base["DEBUG"]
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=base | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def found_ids(done: subprocess.CompletedProcess[str]) -> set[str]:
    assert "Traceback" not in done.stderr
    return set(re.findall(r"hostmaster\.([EWI]\d+)", done.stdout + done.stderr))


@pytest.mark.parametrize(
    ("environment", "check_id"),
    [
        ({"SECRET_KEY": ""}, "E001"),
        ({"SECRET_KEY": "short", **PRODUCTION}, "E001"),
        ({"SECRET_KEY_FILE": "/nowhere/key"}, "E002"),
        ({"MAX_RETRIES": "three"}, "E003"),
        ({"WORKER_CONCURRENCY": "0"}, "E004"),
        ({"ENV": "prod"}, "E005"),
        ({"NODE_ENV": "prod", "ENV": ""}, "E005"),
        ({"LOG_FORMAT": "xml"}, "E005"),
        ({"ENCRYPTION_KEY": "abc"}, "E006"),
        ({"ENCRYPTION_KEY": ""}, "E006"),
        ({"ENCRYPTION_KEYS_OLD": "abc"}, "E006"),
        ({"DEBUG": "true", **PRODUCTION}, "E007"),
        ({"DATABASE_URL": "mysql://h/d"}, "E008"),
        ({"LEASE_SECONDS": "3", "LEASE_RENEW_SECONDS": "2"}, "E009"),
        ({"HOSTMASTER_ALLOWED_NETWORKS": "10.0.0.0/99"}, "E010"),
        ({"HEALTH_CHECK_SCHEDULE": "every minute"}, "E011"),
        ({"HEALTH_CHECK_SCHEDULE": "61 * * * * 0"}, "E011"),
        ({"REDIS_URL": "localhost:6379"}, "E014"),
        ({"EMAIL_URL": "mailto:me"}, "E017"),
        ({"MONITOR_CA_BUNDLE": "/nowhere/roots.pem"}, "E018"),
        ({"MONITOR_CA_BUNDLE": __file__}, "E018"),
        ({**PRODUCTION, "DATABASE_URL": "sqlite:////tmp/db"}, "W001"),
        ({**PRODUCTION, "ALLOWED_HOSTS": "*"}, "W002"),
        ({**PRODUCTION, "PUBLIC_URL": ""}, "W003"),
        ({**PRODUCTION, "AWS_ENDPOINT_URL": "http://127.0.0.1:5000"}, "W004"),
        ({"HEALTH_CHECK_SCHEDULE": "*/30 * * * * *"}, "W011"),
        ({"HEALTH_CHECK_SCHEDULE": "* * * * * */30"}, "I011"),
    ],
)
@pytest.mark.services  # each a process of its own: settings are read once in a process
def test_a_wrong_value_is_a_check(environment: dict[str, str], check_id: str) -> None:
    done = run_check(**environment)
    assert check_id in found_ids(done)
    assert bool(done.returncode) is check_id.startswith("E")
    assert "HINT" in done.stdout + done.stderr or check_id.startswith("I")


@pytest.mark.services
@pytest.mark.parametrize("environment", [{}, PRODUCTION])
def test_right_values_pass_in_silence(environment: dict[str, str]) -> None:
    done = run_check(**environment)
    assert (done.returncode, found_ids(done)) == (0, set())


@pytest.mark.services
def test_an_unknown_env_is_taken_for_production() -> None:
    code = "from django.conf import settings; print(settings.IS_PRODUCTION, settings.DEBUG)"
    environment = project_environment(f"sqlite:///{os.devnull}") | {"ENV": "prodution"}
    del environment["DEBUG"]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == ["True", "False"]


def test_seconds_first_is_warned_about_with_the_next_runs() -> None:
    message = checks.schedule_message("X_SCHEDULE", "0 */5 * * * *")
    assert message is not None
    assert message.id == "hostmaster.W011"
    assert len(re.findall(r"\d\d:\d\d:\d\d", message.msg)) == 3
    assert "'*/5 * * * * 0'" in str(message.hint)


@pytest.mark.parametrize("cron", ["*/5 * * * *", "*/5 * * * * 0", "* * * * * */30"])
def test_seconds_last_is_accepted(cron: str) -> None:
    assert checks.schedule_message("X_SCHEDULE", cron) is None


def test_a_registry_path_that_leads_nowhere_is_an_error() -> None:
    kind = JobKind("scans.Nothing", "x", "scans.nowhere.handle", Lane.SCANS, timedelta(minutes=1))
    registry = Registry(
        jobs={("scans.nothing", "x"): kind},
        doorbells={},
        schedules={},
        drains={},
        health_checks={},
        metrics={},
        retention=(Retention("scans.Nothing", "at", timedelta(days=1)),),
    )
    messages = checks.registry_messages(registry)
    assert [message.id for message in messages] == ["hostmaster.E012"] * 2
    assert "scans.nowhere.handle" in messages[0].msg
    assert "scans.Nothing" in messages[1].msg


def drained(model: str, kind: str, drain: str) -> JobKind:
    return JobKind(model, kind, "", Lane.ALERTS, timedelta(minutes=1), drain=drain)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (drained("alerts.Notification", "notification", "letters"), "'letters' is registered"),
        (drained("alerts.Notification", "webhook", "notifications"), "Notification are notif"),
        (drained("scans.ScanJob", "count", "notifications"), "discovery, aws"),
    ],
)
def test_a_kind_no_row_can_have_or_whose_drain_is_none_is_an_error(kind: JobKind, why: str) -> None:
    registry = replace(get_registry(), jobs={(kind.model.lower(), kind.kind): kind})
    (message,) = checks.registry_messages(registry)
    assert (message.id, why in message.msg) == ("hostmaster.E012", True), message.msg


def test_every_name_the_apps_registered_leads_somewhere() -> None:
    assert checks.registry_messages(get_registry()) == []


def test_a_setting_whose_package_is_missing_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(checks.OPTIONAL_PACKAGES, "PUBLIC_URL", "no_such_package")
    (message,) = checks.check_packages()
    assert message.id == "hostmaster.E016"
    assert "no_such_package" in str(message.hint)


def test_documents_and_settings_know_the_same_names() -> None:
    example = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    document = (ROOT / "docs" / "settings.md").read_text()
    tables = {
        part.partition("\n## ")[0].partition("\n")[0]: set(
            re.findall(r"`([A-Z][A-Z_]+)`", "".join(re.findall(r"^\|([^|]+)\|", part, re.M)))
        )
        for part in document.split("\n## ")[1:]
    }
    old = tables["Old names"] - {"TURSO_AUTH_TOKEN", "BACKEND_API_URL"}  # needed by nobody
    assert example == tables["Names"]
    assert tables["Names"] | old == settings.ENVIRONMENT_NAMES


def test_every_check_id_is_documented() -> None:
    sources = [ROOT / "hostmaster" / name for name in ("checks.py", "environment.py")]
    text = "".join(Path(source).read_text() for source in sources)
    used = set(re.findall(r"\b([EWI]0\d\d)\b", text))
    document = (ROOT / "docs" / "settings.md").read_text()
    assert used == set(re.findall(r"`hostmaster\.([EWI]\d+)`", document))
