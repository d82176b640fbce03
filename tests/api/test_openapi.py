from __future__ import annotations

import re

import pytest
from django.test import Client


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
