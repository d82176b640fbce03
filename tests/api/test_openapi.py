from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from django.test import Client
from ninja import Schema

import hostmaster.api  # noqa: F401 - knows all schemas
from hostmaster.core.tenants.models import Role
from tests.factories import bearer, make_token


def test_schema_is_public_and_names_both_ways_to_sign_in(client: Client) -> None:
    schema = client.get("/api/test/openapi.json").json()

    assert schema["info"]["title"] == "hostmaster"
    assert set(schema["components"]["securitySchemes"]) == {"TokenAuth", "MemberAuth"}


def test_every_operation_needs_authentication(client: Client) -> None:
    paths = client.get("/api/test/openapi.json").json()["paths"]
    operations = [
        operation
        for path in paths.values()
        for method, operation in path.items()
        if method != "parameters"
    ]

    assert len(operations) >= 7
    assert all(operation["security"] for operation in operations)


def test_no_two_schemas_have_one_name() -> None:
    """The document knows them by their names alone: the second would take the first's place."""

    def below(schema: type[Schema]) -> Iterator[type[Schema]]:
        for each in schema.__subclasses__():
            yield each
            yield from below(each)

    names = Counter(
        each.__name__
        for each in set(below(Schema))
        if each.__name__.endswith(("In", "Out")) and not each.__module__.startswith("tests.")
    )
    assert len(names) > 40
    assert [name for name, count in names.items() if count > 1] == []


def test_each_operation_documents_its_errors(client: Client) -> None:
    schema = client.get("/api/test/openapi.json").json()
    told = schema["paths"]["/api/test/notes"]["post"]["responses"]

    assert set(told) == {"201", "400", "401", "403", "411", "413", "422", "429"}
    references = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(schema))
    assert {"ErrorOut", "InvalidOut", "FieldErrorOut"} <= set(references)
    assert set(references) <= set(schema["components"]["schemas"])


def real_operations(client: Client) -> list[tuple[str, str]]:
    """Method and path of every operation of the product, ids filled in."""
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    return [
        (method.upper(), re.sub(r"{[^}]+}", "01234567-89ab-cdef-0123-456789abcdef", path))
        for path, operations in paths.items()
        for method in operations
        if method != "parameters"
    ]


@pytest.mark.django_db
def test_no_route_of_the_product_answers_without_a_token(client: Client) -> None:
    operations = real_operations(client)

    assert ("GET", "/api/v1/whoami") in operations
    for method, path in operations:
        assert client.generic(method, path).status_code == 401, (method, path)


@pytest.mark.django_db
def test_no_route_of_the_product_lets_a_viewer_write(client: Client) -> None:
    headers = bearer(make_token(role=Role.VIEWER))

    for method, path in real_operations(client):
        status = client.generic(method, path, headers=headers).status_code
        assert (status == 403) is (method != "GET"), (method, path)


@pytest.mark.django_db
def test_docs_load_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/api/v1/docs").content.decode()

    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert addresses
    assert all(address.startswith("/") for address in addresses)
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 200, address
        answer.close()
