"""Reading the environment: what is right is taken, what is wrong is named and never raised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostmaster.environment import Environment, old_database_url, old_redis_url

Read = Callable[[Environment], Any]


@pytest.mark.parametrize(
    ("value", "read", "expected"),
    [
        ("text", lambda env: env.str("X", "default"), "text"),
        ("", lambda env: env.str("X", "default"), "default"),
        ("$HOME", lambda env: env.str("X"), "$HOME"),
        ("7", lambda env: env.int("X", 5), 7),
        ("0.25", lambda env: env.float("X", 1.0), 0.25),
        ("Yes", lambda env: env.bool("X", False), True),
        ("off", lambda env: env.bool("X", True), False),
        (" a, b ,,c", lambda env: env.list("X"), ["a", "b", "c"]),
        ("rediss://h:1/0", lambda env: env.url("X", schemes=["rediss"]), "rediss://h:1/0"),
    ],
)
def test_a_right_value_is_taken(value: str, read: Read, expected: object) -> None:
    env = Environment({"X": value})
    assert read(env) == expected
    assert env.problems == []
    assert env.names == {"X"}


@pytest.mark.parametrize(
    ("value", "read", "check_id", "default"),
    [
        ("many", lambda env: env.int("X", 5), "E003", 5),
        ("1.5", lambda env: env.int("X", 5), "E003", 5),
        ("ten", lambda env: env.float("X", 1.5), "E003", 1.5),
        ("maybe", lambda env: env.bool("X", True), "E003", True),
        ("0", lambda env: env.int("X", 5, 1), "E004", 5),
        ("70000", lambda env: env.int("X", 0, 0, 65535), "E004", 0),
        ("nan", lambda env: env.float("X", 1.0), "E004", 1.0),
        ("inf", lambda env: env.float("X", 1.0, 0, 9), "E004", 1.0),
        ("c", lambda env: env.str("X", "a", choices=["a", "b"]), "E005", "a"),
        ("host:6379", lambda env: env.url("X", schemes=["redis"]), "E014", ""),
        ("http://", lambda env: env.url("X", schemes=["http"]), "E014", ""),
        ("http://h:port", lambda env: env.url("X", schemes=["http"]), "E014", ""),
    ],
)
def test_a_wrong_value_keeps_the_default_and_is_named(
    value: str, read: Read, check_id: str, default: object
) -> None:
    env = Environment({"X": value})
    assert read(env) == default
    (problem,) = env.problems
    assert problem.id == f"hostmaster.{check_id}"
    assert problem.message.startswith("X: ")
    assert problem.hint


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/d", "postgresql://u:hunter2@h:port/d", "x"])
def test_a_wrong_database_url_is_named_without_its_password(url: str) -> None:
    env = Environment({"DATABASE_URL": url})
    assert env.db_url("DATABASE_URL", "sqlite:////tmp/x")["NAME"] == "/tmp/x"
    (problem,) = env.problems
    assert problem.id == "hostmaster.E008"
    assert "hunter2" not in repr(problem)


def test_a_wrong_mail_url_is_named_without_its_password() -> None:
    env = Environment({"EMAIL_URL": "imap://u:hunter2@h"})
    assert env.email_url("EMAIL_URL", "consolemail://")["EMAIL_BACKEND"].endswith(
        "console.EmailBackend"
    )
    (problem,) = env.problems
    assert problem.id == "hostmaster.E017"
    assert "hunter2" not in repr(problem)


def test_a_mail_url_becomes_djangos_settings() -> None:
    env = Environment({"EMAIL_URL": "smtp+tls://u:p@mail.example:587"})
    found = env.email_url("EMAIL_URL", "consolemail://")
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"]) == ("mail.example", 587)
    assert found["EMAIL_USE_TLS"] is True


def test_a_value_may_come_from_a_file_whose_last_newline_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the file\n")
    env = Environment({"KEY": "from the environment", "KEY_FILE": str(tmp_path / "key")})
    assert env.str("KEY") == "from the file"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    env = Environment({"KEY": "never used", "KEY_FILE": str(tmp_path / "key")})
    assert env.str("KEY", "default") == "default"
    assert [problem.id for problem in env.problems] == ["hostmaster.E002"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ""),
        ({"REDIS_HOST": "r"}, "redis://r:6379/0"),
        (
            {"REDIS_HOST": "r", "REDIS_PORT": "7", "REDIS_PASSWORD": "a/b@c"},
            "redis://:a%2Fb%40c@r:7/0",
        ),
    ],
)
def test_the_old_names_of_redis_build_its_url(given: dict[str, str], expected: str) -> None:
    assert old_redis_url(Environment(given)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"ENGINE": "sqlite3", "NAME": "/base/db.sqlite3"}),
        ({"TURSO_CONNECTION_URL": "file:./local.db"}, {"NAME": "/base/local.db"}),
        (
            {"POSTGRES_DB": "v", "POSTGRES_USER": "me", "POSTGRES_PASSWORD": "p@s/s:w"},
            {"NAME": "v", "USER": "me", "PASSWORD": "p@s/s:w", "HOST": "localhost", "PORT": 5432},
        ),
        (
            {"POSTGRES_DB": "v", "POSTGRES_HOST": "db", "POSTGRES_PORT": "6000"},
            {"USER": "postgres", "PASSWORD": "", "HOST": "db", "PORT": 6000},
        ),
    ],
)
def test_the_old_names_of_the_database_build_its_url(
    given: dict[str, str], expected: dict[str, object]
) -> None:
    env = Environment(given)
    found = env.db_url("DATABASE_URL", old_database_url(env, Path("/base")))
    found["ENGINE"] = found["ENGINE"].rpartition(".")[2]
    assert found | expected == found
    assert env.problems == []


def test_a_turso_server_is_named_as_ignored() -> None:
    env = Environment({"TURSO_CONNECTION_URL": "libsql://x.turso.io"})
    assert old_database_url(env, Path("/base")).startswith("sqlite:///")
    assert [problem.id for problem in env.problems] == ["hostmaster.W005"]
