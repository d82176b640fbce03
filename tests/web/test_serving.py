"""What uvicorn serves with DEBUG off: on a fresh clone, and in production after collectstatic."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import requests

from tests.projects import ProjectMaker
from tests.web.conftest import Site, served

pytestmark = pytest.mark.services

HTTPS = {"X-Forwarded-Proto": "https"}  # uvicorn believes it from 127.0.0.1, as from a proxy


def test_fresh_clone_serves_static_files_without_a_build(site: Site) -> None:
    for path in ("admin/css/base.css", "ninja/swagger-ui.css", "favicon.svg"):
        answer = requests.get(f"{site.url}/static/{path}", timeout=10)
        assert answer.status_code == 200, path


def test_production_serves_hashed_compressed_files_and_safe_cookies(
    project_maker: ProjectMaker, tmp_path: Path
) -> None:
    project = project_maker.make("sqlite")
    project.environment |= {"ENV": "production", "STATIC_ROOT": str(tmp_path)}
    project.manage("collectstatic", "--no-input")

    with served(project.environment) as url:
        page = requests.get(f"{url}/admin/login/", headers=HTTPS, timeout=10)
        found = re.search(r"/static/admin/css/base\.[0-9a-f]{12}\.css", page.text)
        assert found
        style = requests.get(url + found[0], timeout=10)
        plain = requests.get(f"{url}/admin/login/", timeout=10)

    assert style.headers["Content-Encoding"] == "gzip"
    assert "immutable" in style.headers["Cache-Control"]
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "Strict-Transport-Security" not in plain.headers
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("__Host-csrftoken=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))


def test_deployment_checks_have_nothing_to_say_about_web_security(
    project_maker: ProjectMaker,
) -> None:
    project = project_maker.make("sqlite")

    done = project.manage("check", "--deploy", check=False, ENV="production")

    told = done.stdout + done.stderr
    assert "System check identified" in told
    assert "security.W" not in told
