"""System checks for every setting: what is wrong, and the line that mends it.

`manage.py check` shows them, every command runs them first, and `docs/settings.md` lists the ids.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from croniter import croniter
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from hostmaster.core import crypto
from hostmaster.core.net import guard
from hostmaster.core.registry import Registry, get_registry, resolve

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MAKE_KEY = 'python -c "import secrets; print(secrets.token_urlsafe(50))"'
OPTIONAL_PACKAGES = {"REDIS_URL": "redis", "SENTRY_DSN": "sentry_sdk"}


def register_all() -> None:
    """Called once, when the last app is ready."""
    for check in ALL:
        register(check, "hostmaster")


def refuse_what_is_wrong() -> None:
    """For a server, which runs no checks by itself. Raises `SystemExit` with all errors."""
    errors = [message for check in ALL for message in check() if message.is_serious()]
    if errors:
        raise SystemExit("\n".join(f"{error.id}: {error.msg} {error.hint}" for error in errors))


def check_environment(**_: Any) -> list[CheckMessage]:
    """What `hostmaster.environment` met while the settings were read."""
    return [
        (Warning if ".W" in problem.id else Error)(problem.message, problem.hint, id=problem.id)
        for problem in settings.ENVIRONMENT_PROBLEMS
    ]


def check_secret_key(**_: Any) -> list[CheckMessage]:
    try:
        key = str(settings.SECRET_KEY)
    except ImproperlyConfigured:
        key = ""
    if not key:
        hint = f"Put one into .env; script/run does it for you. Make one with {MAKE_KEY}."
        return [Error("SECRET_KEY is not set.", hint, id="hostmaster.E001")]
    if settings.IS_PRODUCTION and len(key) < 32:
        hint = f"Make one with {MAKE_KEY}; keep the old one in SECRET_KEY_FALLBACKS a while."
        return [Error("SECRET_KEY is shorter than 32 characters.", hint, id="hostmaster.E001")]
    return []


def check_encryption_keys(**_: Any) -> list[CheckMessage]:
    try:
        crypto.check_keys()
    except crypto.EncryptionKeyError as error:
        hint = "Stored credentials open only with the key that sealed them: never lose one."
        return [Error(str(error), hint, id="hostmaster.E006")]
    return []


def check_production(**_: Any) -> list[CheckMessage]:
    return [*_production()] if settings.IS_PRODUCTION else []


def _production() -> Iterator[CheckMessage]:
    if settings.DEBUG:
        hint = "Unset DEBUG: its pages show settings and source to strangers."
        yield Error(f"DEBUG is on with ENV={settings.ENV}.", hint, id="hostmaster.E007")
    if settings.IS_SQLITE:
        hint = "Set DATABASE_URL=postgresql://…: SQLite has one writer and lives on one machine."
        yield Warning(f"SQLite with ENV={settings.ENV}.", hint, id="hostmaster.W001")
    if "*" in settings.ALLOWED_HOSTS:
        hint = "List the names people use, or unset it: the host of PUBLIC_URL is the default."
        yield Warning("ALLOWED_HOSTS accepts every host.", hint, id="hostmaster.W002")
    public = urlsplit(settings.PUBLIC_URL)
    if public.hostname in LOOPBACK or public.scheme != "https":
        hint = "Set PUBLIC_URL to the https:// address people open: links in messages begin so."
        yield Warning("PUBLIC_URL is not a public https address.", hint, id="hostmaster.W003")
    if settings.AWS_ENDPOINT_URL:
        hint = "Unset AWS_ENDPOINT_URL unless AWS is reached through an endpoint of yours."
        yield Warning("Calls go to AWS_ENDPOINT_URL, not AWS.", hint, id="hostmaster.W004")


def check_lease(**_: Any) -> list[CheckMessage]:
    if settings.LEASE_SECONDS >= 2 * settings.LEASE_RENEW_SECONDS:
        return []
    hint = "LEASE_SECONDS must be at least twice LEASE_RENEW_SECONDS; the defaults are 45 and 10."
    message = "One late renewal would lose a running job's lease."
    return [Error(message, hint, id="hostmaster.E009")]


def check_networks(**_: Any) -> list[CheckMessage]:
    try:
        guard.parse_networks(tuple(settings.HOSTMASTER_ALLOWED_NETWORKS))
    except ValueError as error:
        hint = "List networks such as 10.1.0.0/16, with commas between."
        message = f"HOSTMASTER_ALLOWED_NETWORKS: {error}."
        return [Error(message, hint, id="hostmaster.E010")]
    return []


def check_ca_bundle(**_: Any) -> list[CheckMessage]:
    bundle = settings.MONITOR_CA_BUNDLE
    if not bundle:
        return []
    try:
        ssl.create_default_context(cafile=bundle)
    except OSError as error:  # ssl's own errors, too
        why = error.strerror or "it cannot be read"
        if isinstance(error, ssl.SSLError):
            why = "it holds no certificate in PEM, or a broken one"
        hint = "Name a file of PEM certificates that the workers may read, or unset it."
        message = f"MONITOR_CA_BUNDLE={bundle!r}: {why}."
        return [Error(message, hint, id="hostmaster.E018")]
    return []


def check_schedules(**_: Any) -> list[CheckMessage]:
    names = {schedule.setting for schedule in get_registry().schedules.values()}
    crons = {name: str(getattr(settings, name, "")) for name in sorted(names - {""})}
    found = [schedule_message(name, cron) for name, cron in crons.items() if cron]
    return [message for message in found if message is not None]


def schedule_message(name: str, cron: str) -> CheckMessage | None:
    now = timezone.now()
    try:
        fields = cron.split()
        if len(fields) not in {5, 6}:
            raise ValueError(f"{len(fields)} fields")
        times = croniter(cron, now)
        runs = ", ".join(f"{times.get_next(datetime):%Y-%m-%d %H:%M:%S}" for _ in range(3))
    except (ValueError, KeyError) as error:
        hint = "Six fields: minute hour day month weekday second; '* * * * * */30' is each 30 s."
        message = f"{name}={cron!r} is not a schedule ({error})."
        return Error(message, hint, id="hostmaster.E011")
    next_runs = f"{name}={cron!r} runs next at {runs} (UTC)."
    if len(fields) == 6 and fields[-1] == "*":
        hint = f"Seconds come last here. Did you mean '{' '.join([*fields[1:], fields[0]])}'?"
        return Warning(f"{next_runs} It looks like seconds first.", hint, id="hostmaster.W011")
    return Info(next_runs, id="hostmaster.I011") if _is_asked() else None


def check_packages(**_: Any) -> list[CheckMessage]:
    return [
        Error(
            f"{name} is set and the package {package} is not installed.",
            f"pip install {package}, or unset {name}.",
            id="hostmaster.E016",
        )
        for name, package in OPTIONAL_PACKAGES.items()
        if getattr(settings, name) and find_spec(package) is None
    ]


def check_registry(**_: Any) -> list[CheckMessage]:
    """Only when asked: it imports everything, and a lane's process must not grow by that."""
    return registry_messages(get_registry()) if _is_asked() else []


def registry_messages(registry: Registry) -> list[CheckMessage]:
    """Every dotted path and model name an app registered leads somewhere."""
    found = [
        *(_unresolved(resolve, path) for path in dict.fromkeys(_verbs(registry))),
        *(_unresolved(apps.get_model, label) for label in dict.fromkeys(_models(registry))),
        *(
            _unresolved(partial(_find_kind, registry), f"{kind.model} {kind.kind}")
            for kind in registry.jobs.values()
        ),
    ]
    return [message for message in found if message is not None]


def _verbs(registry: Registry) -> Iterator[str]:
    for kind in registry.jobs.values():
        if kind.handler:
            yield kind.handler
        if kind.after_settle:
            yield kind.after_settle
    yield from (bell.task for bell in registry.doorbells.values())
    yield from (schedule.run for schedule in registry.schedules.values())
    for drain in registry.drains.values():
        yield from (drain.has_due, drain.run)
    yield from (check.check for check in registry.health_checks.values())
    yield from (metric.read for metric in registry.metrics.values() if metric.read)


def _models(registry: Registry) -> Iterator[str]:
    yield from (kind.model for kind in registry.jobs.values())
    yield from (rule.model for rule in registry.retention)


def _find_kind(registry: Registry, name: str) -> None:
    """Raises `ValueError` for a kind that no row of its model can have, or whose drain is none."""
    label, _, kind = name.partition(" ")
    try:
        model: Any = apps.get_model(label)
    except LookupError:
        return  # told by its own name
    drain = registry.job_kind(label, kind).drain
    if drain and drain not in registry.drains:
        raise ValueError(f"its drain {drain!r} is registered nowhere")
    own = {model._meta.model_name: ""}
    known = dict(model._meta.get_field("kind").choices or ()) if model.has_kinds() else own
    if known and kind not in known:
        raise ValueError(f"the kinds of {label} are {', '.join(known)}")


def _unresolved(find: Callable[[str], Any], name: str) -> CheckMessage | None:
    try:
        find(name)
    except (ImportError, LookupError, ValueError) as error:
        hint = "Correct the name in the app's registry.py."
        message = f"A registry names {name}, which does not exist: {error}"
        return Error(message, hint, id="hostmaster.E012")
    return None


def _is_asked() -> bool:
    return sys.argv[1:2] == ["check"]


ALL = (
    check_environment,
    check_secret_key,
    check_encryption_keys,
    check_production,
    check_lease,
    check_networks,
    check_ca_bundle,
    check_schedules,
    check_packages,
    check_registry,
)
