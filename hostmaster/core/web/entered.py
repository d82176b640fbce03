"""Admin pages of rows that people enter by forms of our own: what is entered is stored by a verb,
which validates it and is guarded, never by the model's `save()`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.views.decorators.debug import sensitive_post_parameters

from hostmaster.core.health.admin import ReadOnlyAdmin
from hostmaster.core.web.asking import AskingAdmin
from hostmaster.core.web.operated import Button

EDIT = Button("edit", "Edit", asks_first=True)
REMOVE = Button("remove", "Delete", asks_first=True)


class EnteredForm(forms.Form):
    """One row as a person enters it; `row` is `None` while it is a new one.

    `layout` is headings, explanations and the names of fields; `only_new` names those that are
    entered once, `refusals` what the verb may raise beside `ValidationError`.
    """

    layout: ClassVar[Sequence[tuple[str, str, Sequence[str]]]] = ()
    only_new: ClassVar[frozenset[str]] = frozenset({"tenant"})
    refusals: ClassVar[tuple[type[Exception], ...]] = ()

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, row: Any = None, initial: Any = None) -> None:
        self.row = row
        present = {**self.present(row), "version": row.version} if row is not None else initial
        super().__init__(data, initial=present)
        for name in self.only_new if row is not None else ():
            self.fields.pop(name, None)

    def present(self, row: Any) -> dict[str, Any]:
        """What the fields show of a row that is there; never a secret."""
        raise NotImplementedError

    def store(self, user: Any) -> Any:
        """The row, stored by its verb."""
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.row is not None and cleaned.get("version") != self.row.version:
            raise ValidationError(
                "Somebody else changed this meanwhile: open the form anew to see what it is now."
            )
        return cleaned

    def groups(self) -> list[tuple[str, str, list[forms.BoundField]]]:
        """As the page shows them: heading, explanation, fields."""
        shown = [
            (heading, text, [self[name] for name in names if name in self.fields])
            for heading, text, names in self.layout
        ]
        return [group for group in shown if group[2]]

    def try_to_store(self, user: Any) -> Any | None:
        """The row; `None` and errors on the fields when the verb refuses."""
        try:
            return self.store(user)
        except ValidationError as refused:
            self.refuse(refused)
        except self.refusals as refused:
            self.add_error(None, str(refused))
        except IntegrityError:
            self.add_error(None, "Another one of these names was there first: choose another.")
        return None

    def refuse(self, refused: ValidationError) -> None:
        """Show each refusal at its field, or above all when this page has none of that name."""
        by_field = refused.message_dict if hasattr(refused, "error_dict") else {}
        for name, sentences in (by_field or {"": refused.messages}).items():
            for sentence in sentences:
                self.add_error(name if name in self.fields else None, sentence)


class EnteredAdmin(AskingAdmin):
    """Add, Edit and Delete beside the buttons of an operated row."""

    form_class: type[EnteredForm]
    form_template = "admin/entered_form.html"
    removal_warning = "It goes, with all that belongs to it. This cannot be undone."

    def entered(
        self, request: HttpRequest, row: Any, form: EnteredForm, *, is_new: bool
    ) -> HttpResponse | None:
        """A page to answer with instead of the row's own, such as one that shows a secret."""
        return None

    def operate(
        self, request: HttpRequest, button: Button, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        """`press` for the buttons of the subclass."""
        raise NotImplementedError

    def title_of(self, row: Any) -> str:
        return self.name_of(row)  # as people wrote it

    def remove(self, row: Any) -> None:
        row.delete()

    def form_context(self) -> dict[str, Any]:
        """What the page of the form shows beside it."""
        return {}

    def starting_with(self, request: HttpRequest) -> dict[str, Any]:
        """What the form of a new row is filled with."""
        return {name: value for name, value in request.GET.items() if name != "version"}

    def has_add_permission(self, request: HttpRequest) -> bool:
        # Asked past ReadOnlyAdmin: a row is added, by a form of its own.
        return super(ReadOnlyAdmin, self).has_add_permission(request)

    def may_press(self, request: HttpRequest, button: Button) -> bool:
        if button == REMOVE:
            name = f"{self.opts.app_label}.delete_{self.opts.model_name}"
            return bool(request.user.has_perm(name))
        return super().may_press(request, button)

    def press(
        self, request: HttpRequest, button: Button, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        if button == EDIT:
            return self._form_page(request, rows.get())
        if button == REMOVE:
            return self._remove_page(request, rows.get())
        return self.operate(request, button, rows)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self._form_page(request, None)

    @method_decorator(sensitive_post_parameters())
    def _form_page(self, request: HttpRequest, row: Any) -> HttpResponse:
        is_sent = request.method == "POST"
        form = self.form_class(
            request.POST if is_sent else None, row=row, initial=self.starting_with(request)
        )
        if is_sent and form.is_valid():
            stored = form.try_to_store(request.user)
            if stored is not None:
                return self._stored(request, stored, form, is_new=row is None)
        list_url = reverse(self.page_name("changelist"))
        noun = self.noun(1)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Edit {self.name_of(row)}" if row is not None else f"Add {noun}",
            "opts": self.opts,
            "form": form,
            "row": row,
            "row_name": self.name_of(row) if row is not None else "",
            "submit": "Save" if row is not None else f"Add {noun}",
            "list_url": list_url,
            "back_url": self.address("change", row) if row is not None else list_url,
            **self.form_context(),
        }
        return TemplateResponse(request, self.form_template, context)

    def _stored(
        self, request: HttpRequest, row: Any, form: EnteredForm, *, is_new: bool
    ) -> HttpResponse:
        text = format_html("{} was {}.", self.links([row]), "added" if is_new else "changed")
        self.message_user(request, text, messages.SUCCESS)
        answer = self.entered(request, row, form, is_new=is_new)
        return answer or HttpResponseRedirect(self.address("change", row))

    def _remove_page(self, request: HttpRequest, row: Any) -> HttpResponse:
        list_url = reverse(self.page_name("changelist"))
        name = self.name_of(row)
        if request.method == "POST" and "confirmed" in request.POST:
            self.remove(row)
            self.message_user(request, f"{name} is gone.", messages.SUCCESS)
            return HttpResponseRedirect(list_url)
        return self.confirmation(
            request,
            row,
            title=f"Delete {name}?",
            sentences=[self.removal_warning],
            submit=f"Delete {name}",
            leave="Keep it",
        )
