"""The test bench itself: what the other tests lean on."""

from __future__ import annotations

import socket

import pytest
from django.db import connection
from pytest_socket import SocketConnectBlockedError

from hostmaster.core.tenants.models import Tenant
from tests.projects import Project


@pytest.mark.services
def test_a_project_shares_its_rows_with_its_processes(project_env: Project) -> None:
    assert connection.vendor == project_env.database
    Tenant.objects.create(name="Written by the test")
    code = "from hostmaster.core.tenants.models import Tenant; print(Tenant.objects.get().name)"
    assert (
        project_env.manage("shell", "-v", "0", "-c", code).stdout.strip() == "Written by the test"
    )


@pytest.mark.services
def test_projects_do_not_see_each_others_rows(project_env: Project) -> None:
    assert not Tenant.objects.exists()
    Tenant.objects.create(name="Mine")


@pytest.mark.services
def test_a_started_process_dies_with_its_project(project_env: Project) -> None:
    process = project_env.start(
        "shell", "-c", "import time; print('up', flush=True); time.sleep(60)"
    )
    project_env.kill_leftovers()
    assert process.returncode == -9


@pytest.mark.both_databases
@pytest.mark.django_db
def test_the_suite_runs_on_the_database_it_was_told() -> None:
    Tenant.objects.create(name="One")
    assert Tenant.objects.count() == 1


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_no_test_reaches_beyond_this_machine() -> None:
    with pytest.raises(SocketConnectBlockedError):
        socket.create_connection(("192.0.2.1", 80), timeout=0.1)
