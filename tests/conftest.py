"""Fixtures for every test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from pytest_django import DjangoDbBlocker

from tests.aws_simulator.fixtures import aws_simulator, fault_proxy, simulator_process
from tests.projects import Project, ProjectMaker
from tests.stragglers import wait_for_stragglers

__all__ = ["aws_simulator", "fault_proxy", "simulator_process"]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """Before the fixtures go, the database with them."""
    wait_for_stragglers()


@pytest.fixture(scope="session")
def project_maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProjectMaker]:
    shared = os.environ.get("TEST_TEMPLATES")
    maker = ProjectMaker(
        tmp_path_factory.mktemp("projects"),
        os.environ.get("TEST_POSTGRESQL_URL"),
        Path(shared) if shared else None,
    )
    yield maker
    maker.drop_templates()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, project_maker: ProjectMaker
) -> None:
    """Under script/test the suite's own database, too, is a copy: to migrate costs seconds."""
    if not project_maker.is_shared:
        return
    database = settings.DATABASES["default"]
    if settings.IS_SQLITE:
        shutil.copy(project_maker.template("sqlite").database_name, database["TEST"]["NAME"])
    else:
        name = project_maker.template("postgresql").database_name
        database.setdefault("TEST", {})["TEMPLATE"] = name


@pytest.fixture(scope="session")
def django_db_keepdb(request: pytest.FixtureRequest, project_maker: ProjectMaker) -> bool:
    """Whether the suite's own database is there already."""
    is_copied = project_maker.is_shared and settings.IS_SQLITE
    return bool(is_copied or request.config.getoption("reuse_db"))


@pytest.fixture(params=["sqlite", "postgresql"])
def project_env(
    request: pytest.FixtureRequest,
    project_maker: ProjectMaker,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Project]:
    """A fresh, migrated database of its own, on which the ORM works and processes are started.

    Repeated on both databases. `project_env.manage("check")` runs a command to its end,
    `project_env.start("qcluster")` starts one; what is left of it dies with the test.
    """
    if request.param == "postgresql" and not project_maker.postgresql_url:
        missing("PostgreSQL")
    project = project_maker.make(request.param)
    try:
        with django_db_blocker.unblock(), project.orm():
            yield project
    finally:
        project.kill_leftovers()
        project_maker.drop(project)


def missing(service: str) -> None:
    """Skip the test, or fail it where the service has to be (`CI=true`)."""
    reason = f"{service} is not running here: start the tests with script/test"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
