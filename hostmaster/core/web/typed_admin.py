"""Django's admin classes, with the type parameter that only type checkers know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin
    TabularInline = admin.TabularInline
else:

    class _Subscriptable:
        def __class_getitem__(cls, _parameters: Any) -> type:
            return cls

    class ModelAdmin(_Subscriptable, admin.ModelAdmin):
        """`ModelAdmin[Row]` works at run time too."""

    class TabularInline(_Subscriptable, admin.TabularInline):
        """`TabularInline[Row, Parent]` works at run time too."""
