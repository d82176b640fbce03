from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.web.conftest import Browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LISTS = (
    "/admin/",
    "/admin/queue/",
    "/admin/scans/scanjob/",
    "/admin/scans/scanjob/?state=CANCELLED",
    "/admin/scans/account/",
    "/admin/scans/account/add/",
    "/admin/scans/instance/",
    "/admin/scans/resource/",
    "/admin/scans/recommendation/",
    "/admin/jobs/schedulestate/",
)


def rows_of(page: Page) -> list[str]:
    """Where the rows of the list lead."""
    links: list[str] = page.eval_on_selector_all(
        "#result_list tbody th a", "links => links.map(link => link.getAttribute('href'))"
    )
    return links


def pages_to_visit(browser: Browser) -> Iterator[str]:
    """Every list, the scans of each state, a row of each other list, and the pages that ask."""
    for path in LISTS:
        yield path
        browser.open(path)
        for row in rows_of(browser.page)[: 3 if "scanjob" in path else 1]:
            yield row
            browser.open(row)
            yield from browser.page.eval_on_selector_all(
                ".verbs a", "links => links.map(link => link.getAttribute('href'))"
            )


def serious_findings(page: Page) -> list[str]:
    return [
        f"{rule['id']}: {node['html'][:120]}"
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


def test_every_page_is_readable_by_all_and_breaks_no_rule(browser: Browser) -> None:
    browser.sign_in()
    paths = sorted(set(pages_to_visit(browser)))
    assert len(paths) > 20
    found: dict[str, list[str]] = {}

    for path in paths:
        browser.open(path)
        problems = list(browser.complaints)  # before axe, which breaks the policy itself
        for theme in THEMES:
            browser.page.emulate_media(color_scheme=theme)
            browser.page.wait_for_timeout(300)  # the links' colours fade over 150 ms
            problems += [f"{theme}: {finding}" for finding in serious_findings(browser.page)]
        if problems:
            found[path] = problems
        browser.complaints.clear()

    assert found == {}


def test_failed_scan_shows_why_and_retry_revives_it(browser: Browser) -> None:
    page = browser.page
    browser.sign_in()
    page.click("text=Scans >> nth=-1")
    page.click("#changelist-filter >> text=Dead letters")
    assert "AWS does not know the access key." in page.inner_text("#result_list")
    page.click("#result_list tbody th a")

    assert "✗ Failed" in page.inner_text(".headline")
    assert "CredentialsRefusedError: AWS does not know" in page.inner_text(".why-failed")
    page.click("button:has-text('Retry')")

    assert "1 scan revived: AWS scan of Staging." in page.inner_text(".messagelist")
    assert "Queued" in page.inner_text(".headline")
    assert "FAILED → QUEUED" in page.inner_text("#content-main")
    assert browser.complaints == []


def test_running_scan_is_cancelled_only_after_a_yes(browser: Browser) -> None:
    page = browser.page
    browser.sign_in()
    browser.open("/admin/scans/scanjob/?state=FETCHING")
    page.click("#result_list tbody th a")
    assert page.inner_text(".progress label") == "27 of 51 calls answered"
    page.click("text=Cancel…")
    assert "AWS scan of Production" in page.inner_text("#content")
    page.click("input[value='Cancel 1 scan']")

    assert "1 scan cancelled: AWS scan of Production." in page.inner_text(".messagelist")
    assert "– Cancelled" in page.inner_text(".headline")
    assert browser.complaints == []
