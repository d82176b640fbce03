"""Verbs on the configuration of monitors. Each validates and writes in one short transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from hostmaster.core import crypto
from hostmaster.core.tenants.models import Tenant
from monitors import scheduling, tokens
from monitors.models import Monitor, MonitorKind, MonitorRun, MonitorStatus
from monitors.validation import checked_headers, problems_of

SEALED_FIELD = "headers_sealed"
EDITABLE = frozenset(
    {
        *("name", "kind", "url", "enabled", "interval_seconds", "timeout_seconds", "method"),
        *("headers", "body", "expected_status", "keyword", "keyword_absent", "assertions"),
        *("follow_redirects", "max_redirects", "verify_tls", "check_certificate"),
        *("min_tls_version", "retries", "retry_interval_seconds", "successes_before_up", "tags"),
        *("depends_on", "push_grace_seconds", "external_id"),
    }
)


class MonitorChangedError(ValidationError):
    """Somebody else changed this monitor meanwhile: look at it again."""


def add_monitor(
    tenant: Tenant,
    *,
    name: str,
    url: str = "",
    interval_seconds: int = 30,
    timeout_seconds: float = 10,
    **more: Any,
) -> Monitor:
    """A new monitor, checked within a second or two.

    `more`: the other names of `EDITABLE`; `headers` is a mapping, `depends_on` monitors. A push
    monitor comes back with its `push_token`, readable this once. Raises `ValidationError`.
    """
    given = {"name": name, "url": url, "interval_seconds": interval_seconds}
    monitor = Monitor(tenant=tenant)
    parents = _assign(monitor, {**given, "timeout_seconds": timeout_seconds, **more})
    if monitor.kind == MonitorKind.PUSH:
        tokens.assign_new_token(monitor)
    _check(monitor, parents)
    with transaction.atomic():
        monitor.save(force_insert=True)
        if parents:
            monitor.depends_on.set(parents)
        scheduling.follow_enabled([monitor.pk])
    _read_status(monitor)
    return monitor


def edit_monitor(monitor: Monitor, **fields: Any) -> Monitor:
    """Change configuration; a result that is under way under the old one changes no state.

    Takes what `add_monitor` takes. Raises `ValidationError`, and `MonitorChangedError`, which is
    one, when somebody was first.
    """
    parents = _assign(monitor, fields)
    if monitor.kind == MonitorKind.PUSH and not monitor.push_token_hash:
        tokens.assign_new_token(monitor)
    _check(monitor, parents)
    columns = [_column(name) for name in fields if name != "depends_on"]
    values = {name: getattr(monitor, name) for name in (*columns, "push_token_hash")}
    with transaction.atomic():
        _lock_run(monitor)
        if not monitor.update_guarded(**values):
            raise MonitorChangedError(str(MonitorChangedError.__doc__))
        if parents is not None:
            monitor.depends_on.set(parents)
        if not scheduling.follow_enabled([monitor.pk]):
            scheduling.start_over(monitor)
    _read_status(monitor)
    return monitor


def pause(monitor: Monitor) -> Monitor:
    """Stop checking it. What is under way changes no state any more."""
    return edit_monitor(monitor, enabled=False) if monitor.enabled else monitor


def resume(monitor: Monitor) -> Monitor:
    """Check it again; until the first result it is unknown."""
    return monitor if monitor.enabled else edit_monitor(monitor, enabled=True)


def check_now(monitor: Monitor) -> bool:
    """Make it due at once. `False`: it is paused, a push monitor, or being checked anyway."""
    scheduling.follow_enabled([monitor.pk])
    return bool(scheduling.make_due([monitor.pk]))


def remove_monitor(monitor: Monitor) -> None:
    """Delete it with all it measured. Its run is locked first, as the sweep does, so a result that
    arrives meanwhile waits, and then finds nothing."""
    with transaction.atomic():
        _lock_run(monitor)
        monitor.delete()


def headers_of(monitor: Monitor) -> dict[str, str]:
    """The request headers, opened. They may hold secrets."""
    if not monitor.headers_sealed:
        return {}
    context = crypto.context_for(monitor, SEALED_FIELD)
    return dict(crypto.open(monitor.headers_sealed, context=context))


def parents_down(monitor: Monitor) -> list[Monitor]:
    """The monitors it depends on, directly, that are down now."""
    return list(monitor.depends_on.filter(status=MonitorStatus.DOWN))


def _column(name: str) -> str:
    return SEALED_FIELD if name == "headers" else name


def _assign(monitor: Monitor, fields: Mapping[str, Any]) -> list[Monitor] | None:
    """Put `fields` on the row; answers the parents, which are rows of another table."""
    if unknown := sorted(fields.keys() - EDITABLE):
        raise ValidationError(f"A monitor has no {', '.join(unknown)}.")
    for name, value in fields.items():
        if name == "headers":
            monitor.headers_sealed = _sealed(monitor, checked_headers(value))
        elif name != "depends_on":
            setattr(monitor, name, value.strip() if name in {"name", "url"} else value)
    parents = fields.get("depends_on")
    return None if parents is None else list(parents)


def _check(monitor: Monitor, parents: Iterable[Monitor] | None) -> None:
    monitor.full_clean()
    problems = problems_of(monitor)
    for parent in parents or ():
        if parent.pk == monitor.pk or parent.tenant_id != monitor.tenant_id:
            problems["depends_on"] = "It depends on other monitors of its own tenant only."
    if problems:
        raise ValidationError(problems)


def _sealed(monitor: Monitor, headers: dict[str, str]) -> str | None:
    if not headers:
        return None
    return crypto.seal(headers, context=crypto.context_for(monitor, SEALED_FIELD))


def _lock_run(monitor: Monitor) -> None:
    """The sweep locks runs, then monitors; whoever writes both does so in this order."""
    list(MonitorRun.objects.select_for_update().filter(pk=monitor.pk).values_list("pk"))


def _read_status(monitor: Monitor) -> None:
    names = ["status", "status_since", "status_reason", "is_scheduled"]
    monitor.refresh_from_db(fields=names)
