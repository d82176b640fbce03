"""A small router below the API's own base, so that its rules are tested without an app's routes."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import Http404
from django.test import override_settings
from django.urls import path
from ninja import Field, Router, Schema
from ninja.pagination import paginate

from hostmaster.api import build_api
from hostmaster.core.tenants.models import ApiToken, Role
from hostmaster.core.web.errors import ConflictError, InvalidInputError, NotFoundError
from hostmaster.core.web.paging import Paging
from hostmaster.core.web.tenancy import TenantRequest, require_role

router = Router()


class NoteIn(Schema):
    title: str = Field(max_length=20)
    region: str
    details: dict[str, Any] = {}


class TokenOut(Schema):
    id: int
    name: str


@router.get("/whoami")
def whoami(request: TenantRequest) -> dict[str, str]:
    return {"tenant": request.tenant.name, "role": request.role, "actor": request.actor}


@router.post("/notes", response={201: NoteIn})
def add_note(request: TenantRequest, note: NoteIn) -> NoteIn:
    if note.region == "nowhere":
        raise InvalidInputError("region", "This region does not exist.")
    return note


@router.post("/keys")
def add_key(request: TenantRequest) -> dict[str, bool]:
    require_role(request, Role.ADMIN)
    return {"added": True}


@router.get("/tokens", response=list[TokenOut])
@paginate(Paging)
def list_tokens(request: TenantRequest, name: str = "") -> QuerySet[ApiToken]:
    return ApiToken.objects.filter(tenant=request.tenant, name__contains=name).order_by("pk")


@router.get("/tokens/{token_id}", response=TokenOut)
def read_token(request: TenantRequest, token_id: int) -> ApiToken:
    try:
        return ApiToken.objects.get(tenant=request.tenant, pk=token_id)
    except ApiToken.DoesNotExist:
        raise NotFoundError from None


@router.get("/things/{thing_id}")
def read_thing(request: TenantRequest, thing_id: UUID) -> None:
    raise Http404(f"secret detail of {thing_id}")


@router.post("/fail/{kind}")
def fail(request: TenantRequest, kind: str) -> None:
    failures: dict[str, Exception] = {
        "conflict": ConflictError("It is running already."),
        "row": ValidationError({"name": ["This name is taken."]}),
        "rows": ValidationError("The dates do not fit."),
        "database": OperationalError("could not connect to 10.0.0.7 as hm:hunter2"),
        "anything": RuntimeError("hunter2"),
    }
    raise failures[kind]


@pytest.fixture(scope="session")
def routes_with_notes() -> ModuleType:
    from hostmaster import urls

    api = build_api(namespace="api-test")
    api.add_router("", router)
    module = ModuleType("urls_with_notes")
    vars(module).update(
        urlpatterns=[path("api/test/", api.urls), *urls.urlpatterns],
        handler404=urls.handler404,
        handler500=urls.handler500,
    )
    return module


@pytest.fixture(autouse=True)
def _notes_routes(routes_with_notes: ModuleType) -> Iterator[None]:
    with override_settings(ROOT_URLCONF=routes_with_notes):
        yield
