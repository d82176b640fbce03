"""Who opens the bare address lands somewhere."""

from __future__ import annotations

from django.test import Client


def test_the_bare_address_leads_to_the_admin(client: Client) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
