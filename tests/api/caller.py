"""A caller of the product's API: JSON in, JSON out, one token."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.test import Client

from hostmaster.core.tenants.models import Role, Tenant
from tests.factories import bearer, make_tenant, make_token

BASE = "/api/v1"


@dataclass
class Answer:
    status: int
    body: Any

    @property
    def fields(self) -> list[str]:
        """The fields a 422 names."""
        assert self.status == 422, self
        return [".".join(map(str, error["loc"])) for error in self.body["detail"]]


@dataclass
class Caller:
    tenant: Tenant = field(default_factory=make_tenant)
    role: Role = Role.OPERATOR

    def __post_init__(self) -> None:
        self._headers = bearer(make_token(tenant=self.tenant, role=self.role, name="CI"))
        self._client = Client(headers=self._headers)

    def get(self, path: str, **query: Any) -> Answer:
        return _answer(self._client.get(f"{BASE}{path}", query))

    def file(self, path: str, **query: Any) -> str:
        """A download's text."""
        response = self._client.get(f"{BASE}{path}", query)
        assert response.status_code == 200, response
        return response.getvalue().decode()

    def post(self, path: str, **body: Any) -> Answer:
        return self.send("POST", path, body)

    def patch(self, path: str, **body: Any) -> Answer:
        return self.send("PATCH", path, body)

    def delete(self, path: str) -> Answer:
        return _answer(self._client.delete(f"{BASE}{path}"))

    def send(self, method: str, path: str, body: Any) -> Answer:
        return self.send_text(method, path, json.dumps(body, cls=DjangoJSONEncoder))

    def send_text(self, method: str, path: str, text: str) -> Answer:
        return _answer(
            self._client.generic(method, f"{BASE}{path}", text, content_type="application/json")
        )

    def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """The first page of a list."""
        answer = self.get(path, **query)
        assert answer.status == 200, answer
        found: list[dict[str, Any]] = answer.body["items"]
        return found


def _answer(response: Any) -> Answer:
    content = b"".join(response) if response.streaming else response.content
    is_json = response.get("Content-Type", "").startswith("application/json")
    body = json.loads(content) if content and is_json else content.decode()
    return Answer(response.status_code, body)
