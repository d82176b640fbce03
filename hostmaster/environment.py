"""The environment as settings read it: leniently, so that a wrong value becomes a system check with
a hint instead of a traceback.

`.env` fills what the environment leaves open. Each name may instead be given as NAME_FILE, a file
that holds the value. An empty value counts as none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import environ
from environ.fileaware_mapping import FileAwareMapping

Number = TypeVar("Number", int, float)
Text = str  # the methods below are named as in django-environ, and hide the types of that name
Texts = list[str]
Flag = bool

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off"})
ENGINES = {"sqlite": "sqlite3", "postgres": "postgresql", "postgresql": "postgresql"}


@dataclass(frozen=True)
class Problem:
    """What is wrong with one name, and what to do. `id` is the system check's."""

    id: str
    name: str
    message: str
    hint: str


def read_dotenv(base: Path) -> None:
    """Let `.env` (or the file named by DOTENV_PATH) fill what the environment leaves open."""
    environ.Env.read_env(os.environ.get("DOTENV_PATH") or str(base / ".env"))


class Environment:
    """Typed reading by name. Remembers every name asked for and everything found wrong."""

    def __init__(self, source: Mapping[str, str] | None = None) -> None:
        self._source = FileAwareMapping(os.environ if source is None else dict(source))
        self.names: set[str] = set()
        self.problems: list[Problem] = []

    def str(self, name: Text, default: Text = "", *, choices: Iterable[Text] = ()) -> Text:
        value = self._read(name)
        if value is None:
            return default
        if choices and value not in choices:
            self.report("E005", name, f"{value!r} is not known.", f"Use {_one_of(choices)}.")
            return default
        return value

    def int(self, name: Text, default: int, minimum: int = 0, maximum: int | None = None) -> int:
        return self._number(int, name, default, minimum, maximum)

    def float(
        self, name: Text, default: float, minimum: float = 0, maximum: float | None = None
    ) -> float:
        return self._number(float, name, default, minimum, maximum)

    def bool(self, name: Text, default: bool) -> bool:
        value = self._read(name)
        if value is None:
            return default
        if value.lower() not in TRUE | FALSE:
            self.report("E003", name, f"{value!r} is neither yes nor no.", "Use true or false.")
            return default
        return value.lower() in TRUE

    def list(self, name: Text, default: Iterable[Text] = ()) -> Texts:
        """Parts between commas."""
        value = self._read(name)
        if value is None:
            return [*default]
        return [part.strip() for part in value.split(",") if part.strip()]

    def url(self, name: Text, default: Text = "", *, schemes: Iterable[Text]) -> Text:
        """A URL whose password, if any, never appears in what is reported."""
        value = self._read(name)
        if value is None:
            return default
        if not is_url(value, schemes):
            hint = f"Begin it with {_one_of(f'{scheme}://' for scheme in schemes)}, then the host."
            self.report("E014", name, "This is not a URL of the expected kind.", hint)
            return default
        return value

    def db_url(self, name: Text, default: Text) -> dict[Text, Any]:
        value = self._read(name) or default
        scheme = value.partition(":")[0]
        try:
            if scheme not in ENGINES:
                raise ValueError
            return dict(environ.Env.db_url_config(value))
        except ValueError:  # such as a port that is no number
            hint = "Use sqlite:///path/to/file or postgresql://user:password@host:5432/name."
            self.report("E008", name, "This is not the URL of a supported database.", hint)
            return dict(environ.Env.db_url_config(default))

    def email_url(self, name: Text, default: Text) -> dict[Text, Any]:
        """Django's EMAIL_* settings."""
        value = self._read(name) or default
        try:
            return self._email_settings(value)
        except (ValueError, KeyError):
            hint = "Use smtp+tls://user:password@host:587, smtps://… or consolemail://."
            self.report("E017", name, "This is not the URL of a mail server.", hint)
            return self._email_settings(default)

    def _email_settings(self, value: Text) -> dict[Text, Any]:
        if value.partition(":")[0] not in environ.Env.EMAIL_SCHEMES:
            raise ValueError(value)
        found = dict(environ.Env.email_url_config(value))
        return {key: part for key, part in found.items() if key.startswith("EMAIL_") and part}

    def is_set(self, name: Text) -> Flag:
        return self._read(name) is not None

    def _number(
        self, kind: type[Number], name: Text, default: Number, minimum: Number, maximum: Any
    ) -> Number:
        value = self._read(name)
        if value is None:
            return default
        try:
            number = kind(value)
        except ValueError:
            kind_name = "whole number" if kind is int else "number"
            self.report(
                "E003", name, f"{value!r} is not a {kind_name}.", f"The default is {default}."
            )
            return default
        # `not … >=` also catches NaN.
        if not number >= minimum or (maximum is not None and not number <= maximum):
            limits = f"at least {minimum}" + (f" and at most {maximum}" if maximum else "")
            self.report("E004", name, f"{value} is out of range.", f"Use {limits}.")
            return default
        return number

    def _read(self, name: Text) -> Text | None:
        self.names.add(name)
        try:
            value: Text | None = self._source.get(name)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            self.report(
                "E002",
                name,
                f"{name}_FILE names a file that cannot be read: {reason}.",
                f"Give this process the file, or unset {name}_FILE.",
            )
            return None
        return (value or "").strip() or None

    def report(self, check_id: Text, name: Text, message: Text, hint: Text) -> None:
        """Remember what is wrong with a name; told twice it is kept once."""
        problem = Problem(f"hostmaster.{check_id}", name, f"{name}: {message}", hint)
        if problem not in self.problems:
            self.problems.append(problem)


def is_url(value: Text, schemes: Iterable[Text]) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in set(schemes) and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def old_redis_url(env: Environment) -> Text:
    """REDIS_URL from the names of old: REDIS_HOST, REDIS_PORT, REDIS_PASSWORD."""
    host = env.str("REDIS_HOST")
    port = env.int("REDIS_PORT", 6379, 1, 65535)
    password = env.str("REDIS_PASSWORD")
    if not host:
        return ""
    login = f":{quote(password, safe='')}@" if password else ""
    return f"redis://{login}{host}:{port}/0"


def old_database_url(env: Environment, base: Path) -> Text:
    """DATABASE_URL from the names of old: POSTGRES_*, or a `file:` TURSO_CONNECTION_URL."""
    host = env.str("POSTGRES_HOST", "localhost")
    port = env.int("POSTGRES_PORT", 5432, 1, 65535)
    name, user = env.str("POSTGRES_DB"), env.str("POSTGRES_USER", "postgres")
    password = env.str("POSTGRES_PASSWORD")
    turso = env.str("TURSO_CONNECTION_URL")
    if name:
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{login}@{host}:{port}/{quote(name, safe='')}"
    if turso and not turso.startswith("file:"):
        env.report(
            "W005",
            "TURSO_CONNECTION_URL",
            "Turso is not supported, and this name is ignored.",
            "Set DATABASE_URL instead.",
        )
    if turso.startswith("file:"):
        path = turso.removeprefix("file:").removeprefix("//")
        return f"sqlite:///{base / path}"
    return f"sqlite:///{base / 'db.sqlite3'}"


def _one_of(choices: Iterable[Text]) -> Text:
    return " or ".join(sorted(choices))
