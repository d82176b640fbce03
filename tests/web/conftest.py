"""The site under uvicorn with DEBUG off, as in production but for TLS, and Debian's Chromium."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from django.conf import global_settings
from django.contrib.auth.models import User
from django.test import override_settings
from playwright.sync_api import ConsoleMessage, Page, sync_playwright
from pytest_django import DjangoDbBlocker

from tests.conftest import missing
from tests.factories import make_membership, make_staff, make_token
from tests.ports import free_port
from tests.projects import ROOT, ProjectMaker

CHROMIUM = Path("/usr/bin/chromium")


@dataclass(frozen=True)
class Site:
    url: str
    staff: User
    password: str


@pytest.fixture(scope="session")
def site(project_maker: ProjectMaker, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    """A served site with one tenant, one token and a staff user who is its member."""
    project = project_maker.make("sqlite")
    # The server knows Django's own hashers, not the cheap one of the tests.
    hashers = override_settings(PASSWORD_HASHERS=global_settings.PASSWORD_HASHERS)
    with django_db_blocker.unblock(), project.orm(), hashers:
        staff = make_staff(username="anna", password="right password")
        make_token(tenant=make_membership(user=staff).tenant, name="CI")
    with served(project.environment) as url:
        yield Site(url, staff, "right password")


@contextmanager
def served(environment: dict[str, str]) -> Iterator[str]:
    """The address of a uvicorn started with `environment`; it is gone afterwards."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "hostmaster.asgi:application", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_served(url)
        yield url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)


class Browser:
    """A page that remembers what it complained about."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.site = site
        self.complaints: list[str] = []
        page.set_default_timeout(15_000)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))
        # Reports what the policy blocked even where the console stays silent.
        page.expose_function("reportViolation", self._note_violation)
        page.add_init_script(
            "addEventListener('securitypolicyviolation', event => reportViolation("
            "event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sourceFile))"
        )

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{self.page.url}: {message.text}")

    def _note_violation(self, text: str) -> None:
        self.complaints.append(f"{self.page.url}: CSP {text}")

    def open(self, path: str) -> None:
        answer = self.page.goto(self.site.url + path, wait_until="networkidle")
        assert answer is not None
        assert answer.status == 200, f"{path}: {answer.status}"

    def sign_in(self) -> None:
        self.open("/admin/login/?next=/admin/")
        self.page.fill("#id_username", self.site.staff.username)
        self.page.fill("#id_password", self.site.password)
        self.page.click("[type=submit]")
        self.page.wait_for_url(f"{self.site.url}/admin/")


@pytest.fixture
def browser(site: Site) -> Iterator[Browser]:
    if not CHROMIUM.exists():
        missing("Chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield Browser(chromium.new_page(), site)
        chromium.close()


def _wait_until_served(url: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(requests.ConnectionError):
            requests.get(f"{url}/admin/login/", timeout=5)
            return
        time.sleep(0.1)
    pytest.fail(f"Nothing answers at {url}.")
