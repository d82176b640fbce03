"""Admin pages that ask before they do, and the one that shows a secret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from hostmaster.core.web.operated import OperatedAdmin


class AskingAdmin(OperatedAdmin):
    """Two pages for the buttons that ask first."""

    def confirmation(
        self,
        request: HttpRequest,
        row: Any,
        *,
        title: str,
        sentences: Sequence[str],
        submit: str,
        leave: str,
        form: forms.Form | None = None,
    ) -> HttpResponse:
        """A page that asks whether it is meant, with the fields of `form` if it takes some."""
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "row_name": self.name_of(row),
            "sentences": sentences,
            "form": form,
            "submit": submit,
            "leave": leave,
            "list_url": reverse(self.page_name("changelist")),
            "back_url": self.address("change", row),
        }
        return TemplateResponse(request, "admin/confirm.html", context)

    def secret_page(
        self, request: HttpRequest, row: Any, *, title: str, sentence: str, secret: str, how: str
    ) -> HttpResponse:
        """The one page that shows a secret; not a message, for those are kept in a cookie."""
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "row_name": self.name_of(row),
            "sentence": sentence,
            "secret": secret,
            "how": how,
            "list_url": reverse(self.page_name("changelist")),
            "back_url": self.address("change", row),
        }
        return TemplateResponse(request, "admin/secret.html", context)
