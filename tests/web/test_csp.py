from __future__ import annotations

import re

import pytest
import requests
from asgiref.sync import async_to_sync
from django.conf import settings
from django.test import AsyncClient, Client

from tests.web.conftest import Browser

browser_test = pytest.mark.browser


def test_policy_allows_no_inline_code_and_no_eval() -> None:
    sources = [source for sources in settings.SECURE_CSP.values() for source in sources]

    assert not [source for source in sources if "unsafe" in source or "*" in source]
    assert settings.SECURE_CSP["default-src"] == ["'self'"]
    assert settings.SECURE_CSP["frame-ancestors"] == ["'none'"]
    assert "script-src" not in settings.SECURE_CSP  # so default-src holds for scripts


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/admin/login/", "/api/v1/docs", "/api/v1/nothing", "/static/admin/css/base.css"]
)
def test_every_kind_of_answer_carries_the_headers(client: Client, path: str) -> None:
    answer = client.get(path)
    answer.close()

    assert answer["Content-Security-Policy"].startswith("default-src 'self'; img-src 'self' data:;")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Referrer-Policy"] == "same-origin"


@pytest.mark.django_db(transaction=True)
def test_headers_are_there_under_asgi_too() -> None:
    answer = async_to_sync(AsyncClient().get)("/api/v1/nothing")

    assert answer.status_code == 404
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    assert answer["Cache-Control"] == "no-store"


@browser_test
def test_detector_sees_what_the_policy_blocks(browser: Browser) -> None:
    browser.open("/admin/login/")
    browser.page.evaluate(
        "document.body.append("
        "Object.assign(document.createElement('script'), {text: 'var bad = 1'}))"
    )
    browser.page.wait_for_timeout(200)

    assert browser.page.evaluate("typeof bad") == "undefined"
    assert any("CSP script-src" in complaint for complaint in browser.complaints)


@browser_test
def test_signing_in_and_the_index_break_no_rule(browser: Browser) -> None:
    browser.sign_in()

    assert "anna" in browser.page.inner_text("#user-tools").lower()
    assert browser.complaints == []


@browser_test
@pytest.mark.timeout(300)  # each admin page once; their number grows with the product
def test_every_list_and_form_of_the_admin_breaks_no_rule(browser: Browser) -> None:
    browser.sign_in()
    links = browser.page.eval_on_selector_all(
        "#content-main a[href]", "links => links.map(link => link.getAttribute('href'))"
    )
    assert len(links) > 5

    for link in sorted(set(links)):
        browser.open(link)

    assert browser.complaints == []


@browser_test
def test_token_is_made_shown_once_and_revoked_in_the_admin(browser: Browser) -> None:
    page = browser.page
    browser.sign_in()
    browser.open("/admin/tenants/apitoken/add/")
    page.click(".select2-selection")
    page.click(".select2-results__option >> nth=0")
    page.fill("#id_name", "Grafana")
    page.select_option("#id_role", "viewer")
    page.click("[name=_save]")
    text = page.inner_text("#token")

    def status() -> int:
        headers = {"Authorization": f"Bearer {text}"}
        url = f"{browser.site.url}/api/v1/whoami"
        return requests.get(url, headers=headers, timeout=10).status_code

    assert re.fullmatch(r"hm_[0-9a-f]{16}_[0-9a-f]{64}", text)
    assert status() == 200
    browser.open("/admin/tenants/apitoken/")
    assert text not in page.content()
    page.check("tr:has-text('Grafana') .action-select")
    page.select_option("[name=action]", "revoke")
    page.click("button[name=index]")
    assert "Grafana" in page.inner_text("#content")
    page.click("[type=submit][value=Revoke]")

    assert "Revoked: Grafana." in page.inner_text(".messagelist")
    assert status() == 401
    assert "✗ revoked" in page.inner_text("tr:has-text('Grafana')")
    assert browser.complaints == []


@browser_test
def test_docs_are_drawn_from_this_server_alone(browser: Browser) -> None:
    elsewhere: list[str] = []
    page = browser.page
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((browser.site.url, "data:", "blob:"))
            else elsewhere.append(request.url)
        ),
    )
    browser.open("/api/v1/docs")
    page.wait_for_selector(".swagger-ui .info .title")

    assert "hostmaster" in page.inner_text(".swagger-ui .info .title")
    page.click("button.authorize")
    page.wait_for_selector(".auth-container")
    assert elsewhere == []
    assert browser.complaints == []


@browser_test
def test_locked_out_page_breaks_no_rule(browser: Browser) -> None:
    page = browser.page
    for _ in range(5):
        browser.open("/admin/login/")
        page.fill("#id_username", "nobody")
        page.fill("#id_password", "wrong")
        page.click("[type=submit]")
        page.wait_for_load_state("networkidle")

    assert "15 minutes" in page.inner_text("#content")
    assert [c for c in browser.complaints if "429" not in c] == []
