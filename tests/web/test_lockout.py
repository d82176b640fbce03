from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from tests.factories import make_staff

LOGIN = "/admin/login/"
START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def staff() -> User:
    return make_staff(username="anna", password="right password")


def sign_in(client: Client, password: str, *, address: str = "192.0.2.7", **headers: str) -> int:
    form = {"username": "anna", "password": password}
    return client.post(LOGIN, form, REMOTE_ADDR=address, headers=headers).status_code


def fail_often(client: Client, times: int, *, every: timedelta = timedelta()) -> list[int]:
    """The answers to `times` wrong passwords, the first at START."""
    answers = []
    for number in range(times):
        with time_machine.travel(START + number * every, tick=False):
            answers.append(sign_in(client, "wrong"))
    return answers


def test_fifth_failure_locks_even_the_right_password_out(client: Client, staff: User) -> None:
    assert fail_often(client, 5) == [200] * 4 + [429]

    with time_machine.travel(START + timedelta(minutes=14, seconds=59), tick=False):
        assert sign_in(client, "right password") == 429
    assert "_auth_user_id" not in client.session


def test_after_the_cool_off_the_right_password_works(client: Client, staff: User) -> None:
    fail_often(client, 5)

    with time_machine.travel(START + timedelta(minutes=15, seconds=1), tick=False):
        assert sign_in(client, "right password") == 302
        assert client.session["_auth_user_id"] == str(staff.pk)


def test_trying_while_locked_out_does_not_prolong_it(client: Client, staff: User) -> None:
    fail_often(client, 12, every=timedelta(minutes=1))

    with time_machine.travel(START + timedelta(minutes=19, seconds=1), tick=False):
        assert sign_in(client, "right password") == 302


def test_page_says_when_to_try_again_and_that_holds(client: Client, staff: User) -> None:
    fail_often(client, 5, every=timedelta(minutes=1))

    with time_machine.travel(START + timedelta(minutes=9), tick=False):
        answer = client.post(
            LOGIN, {"username": "anna", "password": "right password"}, REMOTE_ADDR="192.0.2.7"
        )
    page = answer.content.decode()

    assert answer.status_code == 429
    assert answer["Retry-After"] == "600"
    assert re.search(r"10\s+minutes", page)
    assert "12:19 UTC" in page
    with time_machine.travel(START + timedelta(minutes=18, seconds=59), tick=False):
        assert sign_in(client, "right password") == 429
    with time_machine.travel(START + timedelta(minutes=19, seconds=1), tick=False):
        assert sign_in(client, "right password") == 302


def test_lock_is_for_this_name_from_this_address(client: Client, staff: User) -> None:
    make_staff(username="bert", password="right password")
    fail_often(client, 5)

    with time_machine.travel(START, tick=False):
        assert sign_in(client, "right password", address="192.0.2.8") == 302
        form = {"username": "bert", "password": "right password"}
        assert client.post(LOGIN, form, REMOTE_ADDR="192.0.2.7").status_code == 302


def test_other_browsers_and_forged_addresses_do_not_escape_it(client: Client, staff: User) -> None:
    answers = [
        sign_in(client, "wrong", **{"User-Agent": f"b{n}", "X-Forwarded-For": f"198.51.100.{n}"})
        for n in range(6)
    ]

    assert answers == [200] * 4 + [429] * 2


def test_success_forgets_the_failures_before(client: Client, staff: User) -> None:
    fail_often(client, 4)
    with time_machine.travel(START, tick=False):
        assert sign_in(client, "right password") == 302
        client.logout()

    assert fail_often(client, 4) == [200] * 4


def test_passwords_tried_are_not_kept(client: Client, staff: User) -> None:
    from axes.models import AccessAttempt

    with time_machine.travel(START, tick=False):
        sign_in(client, "nearly-the-right-password")

    assert "nearly" not in repr(AccessAttempt.objects.values().get())


def test_code_may_authenticate_without_a_request(client: Client, staff: User) -> None:
    assert authenticate(username="anna", password="right password") == staff
    assert authenticate(username="anna", password="wrong") is None
    assert client.login(username="anna", password="right password")


@pytest.mark.django_db(transaction=True)
def test_lock_works_under_asgi_too(staff: User) -> None:
    form = {"username": "anna", "password": "wrong"}

    async def fail_six_times() -> list[tuple[int, bytes]]:
        client = AsyncClient()
        answers = [await client.post(LOGIN, form) for _ in range(6)]
        return [(answer.status_code, answer.content) for answer in answers]

    answers = async_to_sync(fail_six_times)()

    assert [status for status, _ in answers] == [200] * 4 + [429] * 2
    assert re.search(rb"15\s+minutes", answers[-1][1])
