"""Fixtures for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.aws_simulator.fixtures import aws_simulator, fault_proxy, simulator_process
from tests.projects import Project, ProjectMaker

__all__ = ["aws_simulator", "fault_proxy", "simulator_process"]


@pytest.fixture(scope="session")
def project_maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProjectMaker]:
    maker = ProjectMaker(tmp_path_factory.mktemp("projects"), os.environ.get("TEST_POSTGRESQL_URL"))
    yield maker
    maker.drop_all()


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
