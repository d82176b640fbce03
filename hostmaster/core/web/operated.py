"""Admin pages of rows that people operate by verbs but never edit: buttons instead of fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from hostmaster.core.health.admin import ReadOnlyAdmin

LINKS_SHOWN = 5


@dataclass(frozen=True)
class Button:
    """One verb on a row's page. `asks_first`: it leads to a page that asks for more."""

    name: str  # the end of its address
    label: str
    asks_first: bool = False


class OperatedAdmin(ReadOnlyAdmin):
    """Whoever may change the model may press its buttons; nobody writes its fields here."""

    change_form_template = "admin/operated.html"
    buttons: Sequence[Button] = ()
    empty_hint = ""  # what to do next, for a list without a row

    def name_of(self, row: Any) -> str:
        """What a person calls it."""
        return str(row)

    def title_of(self, row: Any) -> str:
        return str(capfirst(self.name_of(row)))

    def is_offered(self, button: Button, row: Any) -> bool:
        """Whether the button makes sense for `row` now."""
        return True

    def press(
        self, request: HttpRequest, button: Button, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        """Do it and tell the person. A page that asks for more, or `None` when done.

        GET comes only to buttons that ask first, and changes nothing.
        """
        raise NotImplementedError

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page of `row` shows beside its fields."""
        return {}

    def has_operate_permission(self, request: HttpRequest) -> bool:
        # Asked past ReadOnlyAdmin, whose "no change" is about the form.
        return super(ReadOnlyAdmin, self).has_change_permission(request)

    def may_press(self, request: HttpRequest, button: Button) -> bool:
        return self.has_operate_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        may_view = super().has_view_permission(request, obj)
        return may_view or self.has_operate_permission(request)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = context["original"]
        context |= {
            "title": self.title_of(row),
            "subtitle": None,
            "buttons": [
                (button, self.address(button.name, row))
                for button in self.buttons
                if self.may_press(request, button) and self.is_offered(button, row)
            ],
            **self.page_context(request, row),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"title": capfirst(self.noun(2)), "empty_hint": self.empty_hint}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def get_urls(self) -> list[URLPattern]:
        ours = [
            path(
                f"<path:object_id>/{button.name}/",
                self.admin_site.admin_view(partial(self._press_one, button=button)),
                name=f"{self.opts.app_label}_{self.opts.model_name}_{button.name}",
            )
            for button in self.buttons
        ]
        return ours + super().get_urls()

    def _press_one(self, request: HttpRequest, object_id: str, *, button: Button) -> HttpResponse:
        if not self.may_press(request, button):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404(f"There is no {self.opts.verbose_name} {object_id}.")
        if request.method != "POST" and not button.asks_first:
            return HttpResponseNotAllowed(["POST"])
        answer = self.press(request, button, self.get_queryset(request).filter(pk=row.pk))
        return answer or HttpResponseRedirect(self.address("change", row))

    def address(self, page: str, row: Any) -> str:
        return reverse(self.page_name(page), args=[row.pk])

    def page_name(self, page: str) -> str:
        return f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}"

    def noun(self, count: int) -> str:
        return str(self.opts.verbose_name if count == 1 else self.opts.verbose_name_plural)

    def links(self, rows: Sequence[Any]) -> SafeString:
        """The first few by name, each a link, and how many more there are."""
        shown = format_html_join(
            ", ",
            '<a href="{}">{}</a>',
            ((self.address("change", row), self.name_of(row)) for row in rows[:LINKS_SHOWN]),
        )
        left = len(rows) - LINKS_SHOWN
        return format_html("{}{}", shown, f" and {left} more" if left > 0 else "")

    def told(self, changed: Sequence[Any], word: str, others: dict[str, list[Any]]) -> SafeString:
        """`3 scans revived: … 1 had an open twin: …`, the rows as links."""
        sentences = [(f"{len(changed)} {self.noun(len(changed))} {word}", changed)]
        sentences += [(f"{len(rows)} {why}", rows) for why, rows in others.items()]
        return format_html_join(
            " ",
            "{}{}.",
            (
                (text, format_html(": {}", self.links(rows)) if rows else "")
                for text, rows in sentences
            ),
        )
