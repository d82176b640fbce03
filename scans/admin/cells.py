"""How the things of this app look in lists."""

from __future__ import annotations

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hostmaster.core.web.cells import NOTHING, Tone, badge
from scans.models import Account, AccountStatus, UnitOutcome

_ACCOUNT = {
    AccountStatus.PENDING: ("○", Tone.CALM),
    AccountStatus.CONNECTED: ("►", Tone.BUSY),
    AccountStatus.ACTIVE: ("✓", Tone.GOOD),
    AccountStatus.FAILED: ("✗", Tone.BAD),
}
_OUTCOME = {
    UnitOutcome.OK: ("✓", Tone.GOOD),
    UnitOutcome.DENIED: ("✗", Tone.BAD),
    UnitOutcome.NOT_ENABLED: ("–", Tone.CALM),
    UnitOutcome.THROTTLED: ("!", Tone.WARN),
    UnitOutcome.ERROR: ("✗", Tone.BAD),
}
KINDS = {"ec2_instance": "instances", "ebs_volume": "volumes", "elastic_ip": "addresses"}


def account_badge(account: Account) -> SafeString:
    mark, tone = _ACCOUNT[AccountStatus(account.status)]
    return badge(mark, account.get_status_display(), tone)


def outcome_badge(outcome: str, word: str = "") -> SafeString:
    mark, tone = _OUTCOME[UnitOutcome(outcome)]
    return badge(mark, word or UnitOutcome(outcome).label, tone)


def simulated_badge() -> SafeString:
    return badge("≈", "Simulated", Tone.WARN)


def account_name(account: Account | None) -> SafeString | str:
    """Its name, plainly marked when it lives in the simulator."""
    if account is None:
        return NOTHING
    return (
        format_html("{} {}", account, simulated_badge()) if account.is_simulated else str(account)
    )


def account_link(account: Account | None) -> SafeString | str:
    if account is None:
        return NOTHING
    address = reverse("admin:scans_account_change", args=[account.pk])
    marked = simulated_badge() if account.is_simulated else ""
    return format_html('<a href="{}">{}</a> {}', address, account, marked)
