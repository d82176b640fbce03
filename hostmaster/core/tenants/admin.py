"""Tenants, their members and their API tokens, for operators."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from hostmaster.core.tenants.models import ApiToken, Membership, Tenant
from hostmaster.core.tenants.services import create_token, revoke_token


class MembershipInline(admin.TabularInline[Membership, Tenant]):
    model = Membership
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(Tenant)
class TenantAdmin(admin.ModelAdmin[Tenant]):
    list_display = ["name", "members", "created_at"]
    search_fields = ["name"]
    readonly_fields = ["id", "created_at"]
    inlines = [MembershipInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        return super().get_queryset(request).annotate(member_count=Count("memberships"))

    @admin.display(ordering="member_count")
    def members(self, tenant: Tenant) -> int:
        return int(vars(tenant)["member_count"])


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin[Membership]):
    list_display = ["user", "tenant", "role", "created_at"]
    list_filter = ["tenant", "role"]
    list_select_related = ["user", "tenant"]
    search_fields = ["user__username", "tenant__name"]
    autocomplete_fields = ["user", "tenant"]


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin[ApiToken]):
    """A token's text is shown on the page that answers its creation, and never again."""

    list_display = ["name", "tenant", "role", "condition", "last_used_at", "expires_at"]
    list_filter = ["tenant", "role"]
    list_select_related = ["tenant"]
    search_fields = ["name", "token_id", "tenant__name"]
    autocomplete_fields = ["tenant"]
    actions = ["revoke"]
    shown = ["token_id", "condition", "created_at", "last_used_at", "revoked_at"]

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> list[Any]:
        entered = ["tenant", "name", "role", "expires_at"]
        return entered if obj is None else entered + self.shown

    def get_readonly_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> list[str]:
        # What a token may do is fixed: whoever holds its text was told so.
        return [] if obj is None else ["tenant", "role", "expires_at", *self.shown]

    @admin.display(description="state")
    def condition(self, token: ApiToken) -> str:
        if token.revoked_at is not None:
            return "✗ revoked"
        return "✓ usable" if token.is_usable() else "✗ expired"

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=["name"])
            return
        token = create_token(obj.tenant, obj.name, obj.role, expires_at=obj.expires_at)
        vars(obj).update(vars(token))

    def response_add(
        self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None
    ) -> HttpResponse:
        # On this page itself, not as a message: those are kept in a cookie or the session.
        context = {
            **self.admin_site.each_context(request),
            "title": f"API token {obj.name}",
            "opts": self.opts,
            "token": obj,
        }
        return TemplateResponse(request, "admin/tenants/apitoken/created.html", context)

    @admin.action(description="Revoke the selected tokens", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> TemplateResponse | None:
        usable = queryset.filter(revoked_at=None)
        if "confirmed" not in request.POST:
            context = {
                **self.admin_site.each_context(request),
                "title": "Revoke API tokens",
                "opts": self.opts,
                "tokens": usable.select_related("tenant"),
            }
            return TemplateResponse(request, "admin/tenants/apitoken/revoke.html", context)
        names = [token.name for token in usable if revoke_token(token)]
        self.message_user(
            request,
            f"Revoked: {', '.join(names)}." if names else "No token was left to revoke.",
            messages.SUCCESS if names else messages.WARNING,
        )
        return None
