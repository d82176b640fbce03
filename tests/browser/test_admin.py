from __future__ import annotations

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
    "/admin/monitors/monitor/",
    "/admin/monitors/monitor/add/",
    "/admin/monitors/monitorcheck/",
    "/admin/monitors/maintenancewindow/",
    "/admin/monitors/maintenancewindow/add/",
    "/admin/alerts/alertrule/",
    "/admin/alerts/alertrule/add/",
    "/admin/alerts/alertchannel/",
    "/admin/alerts/alertchannel/add/",
    "/admin/alerts/incident/",
    "/admin/alerts/silence/",
    "/admin/alerts/silence/add/",
    "/admin/alerts/notification/",
)


def rows_of(page: Page) -> list[str]:
    """Where the rows of the list lead."""
    links: list[str] = page.eval_on_selector_all(
        "#result_list tbody th a", "links => links.map(link => link.getAttribute('href'))"
    )
    return links


def links_to_follow(page: Page, path: str) -> list[str]:
    """From a list to a row, of scans to three; from a row to the pages that ask."""
    asking: list[str] = page.eval_on_selector_all(
        ".verbs a", "links => links.map(link => link.getAttribute('href'))"
    )
    return rows_of(page)[: 3 if "scanjob" in path else 1] + asking


def serious_findings(page: Page) -> list[str]:
    return [
        f"{rule['id']}: {node['html'][:120]}"
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


def wait_for_colours(page: Page) -> None:
    """Those of links fade over 150 ms when the theme changes."""
    page.evaluate(
        "() => Promise.allSettled(document.getAnimations()"
        ".filter(each => each instanceof CSSTransition).map(each => each.finished))"
    )


def problems_of(browser: Browser) -> list[str]:
    """Of the page that is open, in both themes."""
    problems = list(browser.complaints)  # before axe, which breaks the policy itself
    for theme in THEMES:
        browser.page.emulate_media(color_scheme=theme)
        wait_for_colours(browser.page)
        problems += [f"{theme}: {finding}" for finding in serious_findings(browser.page)]
    browser.complaints.clear()
    return problems


def test_every_page_is_readable_by_all_and_breaks_no_rule(browser: Browser) -> None:
    """Every list, the scans of each state, a row of each other list, and the pages that ask."""
    browser.sign_in()
    waiting = list(LISTS)
    visited: set[str] = set()
    found: dict[str, list[str]] = {}
    while waiting:
        path = waiting.pop()
        if path in visited:
            continue
        visited.add(path)
        browser.open(path)
        waiting += links_to_follow(browser.page, path)
        if problems := problems_of(browser):
            found[path] = problems

    assert found == {}
    assert len(visited) > 20


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


def test_monitor_that_is_down_leads_to_its_incident_and_who_was_told(browser: Browser) -> None:
    page = browser.page
    browser.sign_in()
    browser.open("/admin/monitors/monitor/?status__exact=down")
    page.click("text=A port where nobody listens")
    assert "✗ Down" in page.inner_text(".headline")
    assert "Nobody answers at 127.0.0.1:9." in page.inner_text(".why-failed")
    page.click("text=A port where nobody listens is down")
    assert "● Open" in page.inner_text(".headline")
    assert "503" in page.inner_text("section:has-text('Who was told')")
    page.click("button:has-text('Acknowledge')")
    assert "1 incident acknowledged" in page.inner_text(".messagelist")
    page.click("text=Add note…")
    page.fill("#id_note", "Nobody ever listens there.")
    page.click("input[value='Add note']")

    assert "◐ Acknowledged" in page.inner_text(".headline")
    assert "Nobody ever listens there." in page.inner_text("section:has-text('Timeline')")
    assert browser.complaints == []
