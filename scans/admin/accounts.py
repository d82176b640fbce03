"""AWS accounts: how we get in, whether we may, what they come to. No page shows a credential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters

from hostmaster.core.crypto import SealError
from hostmaster.core.health.admin import ReadOnlyAdmin
from hostmaster.core.web.cells import instant, shortened, usd, usd_range
from hostmaster.core.web.operated import Button, OperatedAdmin
from scans.admin.cells import account_badge, account_name, simulated_badge
from scans.admin.forms import SECRETS, AddAccountForm, EditAccountForm
from scans.admin.onboarding import onboarding_panel
from scans.admin.rules import rules_of
from scans.aws.accounts import NoCredentialsHereError, SimulatorNotRunningError
from scans.aws.costs.services import refresh_price_usd
from scans.aws.costs.summary import cost_summary
from scans.aws.errors import AWS_ERRORS, OwnIdentityError, safe_message
from scans.aws.services import AccountBusyError
from scans.aws.standing import CredentialsChangedError
from scans.models import Account, AccountStatus, ScanJob, ScanKind
from scans.services import (
    connect_account,
    delete_account,
    request_cost_refresh,
    request_scan,
)
from scans.totals import AccountTotals, totals_of

CONNECT = Button("connect", "Connect")
SCAN = Button("scan", "Scan now")
REDISCOVER = Button("rediscover", "Rediscover")
REFRESH_COSTS = Button("refresh-costs", f"Refresh costs (about ${refresh_price_usd()})")
EDIT = Button("edit", "Edit", asks_first=True)
DELETE = Button("forget", "Delete", asks_first=True)
MOST_AT_ONCE = 10  # accounts to connect in one request: each is a question to AWS


@admin.register(Account)
class AccountAdmin(OperatedAdmin):
    change_form_template = "admin/scans/account.html"
    buttons = (SCAN, CONNECT, REDISCOVER, REFRESH_COSTS, EDIT, DELETE)
    empty_hint = "No AWS account yet. Add one, by a role (better) or by an access key."
    list_display = [
        "label",
        "status_badge",
        "instances",
        "monthly_usd",
        "saving_usd",
        "last_scan",
        "tenant",
    ]
    list_filter = ["status", "is_simulated", "tenant"]
    list_select_related = ["tenant"]
    list_per_page = 50
    search_fields = ["name", "aws_account_id__startswith", "role_arn"]
    search_help_text = "A name, the beginning of an AWS account number, or a role."
    actions = ["scan_selected", "rediscover_selected", "connect_selected"]
    readonly_fields = ["getting_in", "in_regions", "last_scan", "added", "external"]
    fields = [
        ("aws_account_id", "tenant"),
        ("getting_in", "external"),
        ("in_regions", "last_scan"),
        ("id", "added"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # Whether there are keys is asked of one account at a time; their text never.
        return super().get_queryset(request).defer("credentials_sealed")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        totals = totals_of(page.result_list)
        for account in page.result_list:
            vars(account)["totals"] = totals[account.pk]
        return page

    def has_add_permission(self, request: HttpRequest) -> bool:
        # Asked past ReadOnlyAdmin: an account is added, by a form of its own.
        return super(ReadOnlyAdmin, self).has_add_permission(request)

    # Columns

    @admin.display(description="name", ordering="name")
    def label(self, account: Account) -> SafeString:
        number = account.aws_account_id
        return format_html('{} <span class="id">{}</span>', account_name(account), number)

    @admin.display(description="status", ordering="status")
    def status_badge(self, account: Account) -> SafeString:
        if not account.status_reason:
            return account_badge(account)
        why = shortened(account.status_reason)
        return format_html('{}<span class="why">{}</span>', account_badge(account), why)

    @admin.display(description="instances")
    def instances(self, account: Account) -> str:
        return f"{_totals(account).instances:,}"

    @admin.display(description="USD a month")
    def monthly_usd(self, account: Account) -> str:
        return usd(_totals(account).monthly_usd)

    @admin.display(description="could save")
    def saving_usd(self, account: Account) -> str:
        totals = _totals(account)
        return usd_range(totals.saving_low_usd, totals.saving_high_usd)

    @admin.display(description="last scan", ordering="last_scan_at")
    def last_scan(self, account: Account) -> SafeString | str:
        return instant(account.last_scan_at)

    @admin.display(description="added")
    def added(self, account: Account) -> SafeString | str:
        return instant(account.created_at)

    @admin.display(description="gets in by")
    def getting_in(self, account: Account) -> str:
        words = {"keys": "an access key, sealed", "none": "nothing: only by a scan's own login"}
        return words.get(account.auth) or f"the role {account.role_arn}"

    @admin.display(description="external ID")
    def external(self, account: Account) -> SafeString | str:
        return format_html("<code>{}</code>", account.external_id)

    @admin.display(description="regions")
    def in_regions(self, account: Account) -> str:
        return ", ".join(account.regions) or "every region enabled in the account"

    # The page of one account

    def is_offered(self, button: Button, row: Account) -> bool:
        if button in {SCAN, REDISCOVER, REFRESH_COSTS}:
            return row.is_usable and row.auth != "none"
        return button != CONNECT or row.auth != "none"

    def page_context(self, request: HttpRequest, row: Account) -> dict[str, Any]:
        totals = _totals(row)
        return {
            "badge": account_badge(row),
            "simulated": simulated_badge() if row.is_simulated else "",
            "is_failed": row.status == AccountStatus.FAILED,
            "is_pending": row.status == AccountStatus.PENDING,
            "figures": [
                (f"{totals.instances:,}", "instances", _list_of(row, "instance", "gone=no")),
                (f"{totals.resources:,}", "other resources", _list_of(row, "resource", "gone=no")),
                (usd(totals.monthly_usd), "a month at list price", ""),
                *_spent(row),
                (_percent(totals.cpu_percent), "CPU of its instances on average", ""),
                (
                    f"{totals.findings:,}",
                    "open findings",
                    _list_of(row, "recommendation", "status__exact=open"),
                ),
                (
                    usd_range(totals.saving_low_usd, totals.saving_high_usd),
                    "could be saved a month",
                    "",
                ),
            ],
            "onboarding": onboarding_panel(row),
            "scans_url": _list_of(row, "scanjob"),
            **_rules(row),
        }

    # Verbs

    def press(
        self, request: HttpRequest, button: Button, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        if button == CONNECT:
            self._connect(request, rows)
        elif button in {SCAN, REDISCOVER}:
            self._request(request, rows, ScanKind.AWS if button == SCAN else ScanKind.DISCOVERY)
        elif button == REFRESH_COSTS:
            self._refresh_costs(request, rows.get())
        elif button == EDIT:
            return self._edit(request, rows.get())
        elif button == DELETE:
            return self._delete(request, rows.get())
        return None

    def _refresh_costs(self, request: HttpRequest, account: Account) -> None:
        by = f"user {request.user.get_username()}"
        job = request_cost_refresh(account, requested_by=by)
        text = format_html("Fresh costs asked for: {}.", _job_links([(account, job)]))
        self.message_user(request, text, messages.SUCCESS)

    def _connect(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        if rows.count() > MOST_AT_ONCE:
            text = f"Connect asks AWS about each account: select at most {MOST_AT_ONCE}."
            self.message_user(request, text, messages.WARNING)
            return
        for account in rows:
            self._tell_connected(request, account)

    def _tell_connected(self, request: HttpRequest, account: Account) -> None:
        link = self.links([account])
        try:
            account = connect_account(account)
        except (*AWS_ERRORS, SimulatorNotRunningError, OwnIdentityError) as error:
            text = format_html(
                "{}: AWS could not be asked, try again. {}", link, safe_message(error)
            )
            self.message_user(request, text, messages.WARNING)
        except (SealError, NoCredentialsHereError, CredentialsChangedError) as error:
            self.message_user(request, format_html("{}: {}", link, error), messages.ERROR)
        else:
            self._tell_status(request, account, link)

    def _tell_status(self, request: HttpRequest, account: Account, link: SafeString) -> None:
        if account.is_usable and account.trust_warning:
            text = format_html("AWS lets us into {}, unsafely: {}", link, account.trust_warning)
            self.message_user(request, text, messages.WARNING)
            return
        if account.is_usable:
            text = format_html("AWS lets us into {}; a discovery is on its way.", link)
            self.message_user(request, text, messages.SUCCESS)
            return
        text = format_html("AWS does not let us into {}: {}", link, account.status_reason)
        self.message_user(request, text, messages.ERROR)

    def _request(self, request: HttpRequest, rows: QuerySet[Any], kind: str) -> None:
        by = f"user {request.user.get_username()}"
        asked, left = [], []
        for account in rows:
            if self.is_offered(SCAN, account):
                asked.append((account, request_scan(account, kind=kind, requested_by=by)))
            else:
                left.append(account)
        if asked:
            noun = "Discovery" if kind == ScanKind.DISCOVERY else "Scan"
            text = format_html("{} asked for: {}.", noun, _job_links(asked))
            self.message_user(request, text, messages.SUCCESS)
        if left:
            text = format_html("Not scanned, connect first: {}.", self.links(left))
            self.message_user(request, text, messages.WARNING)

    # Forms: adding, editing, deleting

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        form = AddAccountForm(request.POST or None)

        def save() -> Account | None:
            return form.save()

        told = "{} was added. Connect proves that AWS lets us in."
        return self._form_page(request, form, save, "Add an AWS account", told)

    def _edit(self, request: HttpRequest, account: Account) -> HttpResponse:
        present = {
            "name": account.name,
            "role_arn": account.role_arn,
            "regions": ", ".join(account.regions),
        }
        form = EditAccountForm(request.POST or None, initial=present)

        def save() -> Account | None:
            return account if form.save_to(account) else None

        told = "{} was changed. Connect proves new credentials."
        return self._form_page(request, form, save, f"Edit {account}", told, account)

    @method_decorator(sensitive_post_parameters(*SECRETS))
    def _form_page(
        self,
        request: HttpRequest,
        form: EditAccountForm,
        save: Callable[[], Account | None],
        title: str,
        told: str,
        account: Account | None = None,
    ) -> HttpResponse:
        if request.method == "POST" and form.is_valid():
            saved = save()
            if saved is not None:
                text = format_html(told, self.links([saved]))
                self.message_user(request, text, messages.SUCCESS)
                return HttpResponseRedirect(self.address("change", saved))
        list_url = reverse(self.page_name("changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "form": form,
            "account": account,
            "list_url": list_url,
            "back_url": self.address("change", account) if account else list_url,
        }
        return TemplateResponse(request, "admin/scans/account_form.html", context)

    def _delete(self, request: HttpRequest, account: Account) -> HttpResponse:
        list_url = reverse(self.page_name("changelist"))
        if request.method == "POST" and "confirmed" in request.POST:
            name = account.name
            try:
                delete_account(account)
            except AccountBusyError as error:
                self.message_user(request, str(error), messages.ERROR)
                return HttpResponseRedirect(self.address("change", account))
            self.message_user(request, f"{name} and all found in it are gone.", messages.SUCCESS)
            return HttpResponseRedirect(list_url)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Delete {account}?",
            "opts": self.opts,
            "account": account,
            "totals": _totals(account),
            "scans": ScanJob.objects.filter(account=account).count(),
            "list_url": list_url,
            "back_url": self.address("change", account),
        }
        return TemplateResponse(request, "admin/scans/account_delete.html", context)

    # Actions

    @admin.action(description="Scan the selected now", permissions=["operate"])
    def scan_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self.press(request, SCAN, queryset)

    @admin.action(description="Rediscover the selected", permissions=["operate"])
    def rediscover_selected(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        return self.press(request, REDISCOVER, queryset)

    @admin.action(description="Connect the selected", permissions=["operate"])
    def connect_selected(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        return self.press(request, CONNECT, queryset)


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f} %"


def _totals(account: Account) -> AccountTotals:
    """Put on the rows of a list for all of them at once."""
    totals: AccountTotals = vars(account).get("totals") or totals_of([account])[account.pk]
    return totals


def _list_of(account: Account, model: str, more: str = "") -> str:
    query = f"account__id__exact={account.pk}" + (f"&{more}" if more else "")
    return reverse(f"admin:scans_{model}_changelist") + f"?{query}"


def _job_links(asked: list[tuple[Account, ScanJob]]) -> SafeString:
    return format_html_join(
        ", ",
        '<a href="{}">{}</a>',
        ((reverse("admin:scans_scanjob_change", args=[job.pk]), account) for account, job in asked),
    )


def _spent(account: Account) -> list[tuple[str, str, str]]:
    """What Cost Explorer tells; nothing where it told nothing."""
    summary = cost_summary(account)
    if summary.month_to_date_usd is None:
        return []
    costs = _list_of(account, "costrecord", "metric__exact=unblended")
    figures = [
        (usd(summary.month_to_date_usd), "spent this month", costs),
        (usd(summary.last_30_days_usd), "spent in 30 days", ""),
    ]
    if summary.forecast_usd is not None:
        figures.insert(1, (usd(summary.forecast_usd), "forecast for this month", ""))
    return figures


def _rules(account: Account) -> dict[str, Any]:
    """What each rule came to in the last full scan, and why where it found nothing."""
    scan = (
        ScanJob.objects.filter(account=account, kind=ScanKind.AWS, state=ScanJob.State.COMPLETED)
        .order_by("-finished_at")
        .first()
    )
    if scan is None:
        return {"rules": []}
    address = reverse("admin:scans_scanjob_change", args=[scan.pk])
    return {"rules": rules_of(scan.summary), "rules_of_scan": address}
