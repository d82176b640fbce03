"""What a person does to channels: add, change, switch, give a new secret, test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from alerts.messages import Message, incidents_link
from alerts.models.channels import AlertChannel, ChannelType
from alerts.models.notifications import DeliveryAttempt
from alerts.transports import webhook
from alerts.transports.base import ConfigError, Envelope
from alerts.transports.catalogue import transport_for
from hostmaster.core.tenants.models import Tenant

TESTS_A_MINUTE = 5
GRACE = timedelta(hours=24)  # in which the previous secret of a webhook still signs


class ChannelNameTakenError(Exception):
    """Another channel has this name."""


class TooManyTestsError(Exception):
    """This channel was tested five times within a minute. Wait a little."""


class ChannelChangedError(Exception):
    """Somebody changed this channel meanwhile."""


@dataclass(frozen=True)
class TestResult:
    """What came of testing a channel. `reply` is masked, `error` a sentence; empty when it is
    well."""

    ok: bool
    status: int | None
    milliseconds: int
    reply: str
    error: str

    __test__ = False  # not a class of tests


def add_channel(
    tenant: Tenant,
    *,
    name: str,
    type: str,
    config: Mapping[str, Any],
    enabled: bool = True,
    is_grouped: bool = True,
) -> AlertChannel:
    """A new channel. Raises `ConfigError` and `ChannelNameTakenError`, whose sentences say what to
    do. A webhook without a secret gets one: `channel.config["secret"]`."""
    cleaned = transport_for(type).clean(_as_mapping(config))
    name = _clean_name(name)
    channel = AlertChannel(
        tenant=tenant, name=name, type=ChannelType(type), enabled=enabled, is_grouped=is_grouped
    )
    channel.config = cleaned
    try:
        with transaction.atomic():
            channel.save(force_insert=True)
    except IntegrityError as error:
        raise ChannelNameTakenError(f"There is a channel {name!r} already.") from error
    return channel


def edit_channel(
    channel: AlertChannel,
    *,
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
    enabled: bool | None = None,
    is_grouped: bool | None = None,
) -> AlertChannel:
    """Change what is given. A webhook's secrets stay unless `config` brings one. Switching it on
    forgets what went wrong before.

    Raises as `add_channel`, and `ChannelChangedError`.
    """
    fields: dict[str, Any] = {}
    if name is not None:
        fields["name"] = _clean_name(name)
    if is_grouped is not None:
        fields["is_grouped"] = is_grouped
    if enabled is not None:
        fields["enabled"] = enabled
    if enabled or config is not None:
        fields |= fresh_start()
    if config is not None:
        kept = {key: value for key, value in channel.config.items() if "secret" in key}
        channel.config = transport_for(channel.type).clean({**kept, **_as_mapping(config)})
        fields["config_sealed"] = channel.config_sealed
    return _write(channel, fields)


def fresh_start() -> dict[str, Any]:
    """The fields of a channel that has failed nobody yet."""
    return {
        "disabled_reason": "",
        "failures_in_row": 0,
        "breaker_seconds": 0,
        "failing_since": None,
        "last_error": "",
        "next_send_at": timezone.now(),
    }


def rotate_secret(channel: AlertChannel, *, grace: timedelta = GRACE) -> str:
    """A new secret for a webhook; messages are signed with both during `grace`. Answers the new
    one. Raises `ConfigError` for another type, `ChannelChangedError`."""
    if channel.type != ChannelType.WEBHOOK:
        raise ConfigError("Only a webhook has a secret.")
    config = ready_config(channel)
    secret = webhook.new_secret()
    channel.config = {**config, "secret": secret, "previous_secret": config["secret"]}
    until = timezone.now() + grace
    _write(channel, {"config_sealed": channel.config_sealed, "previous_secret_until": until})
    return secret


def ready_config(channel: AlertChannel) -> dict[str, Any]:
    """The config a transport can send by, also of a row that another program created.

    Raises `ConfigError`, and `SealError` when it does not open.
    """
    config = channel.config
    if _is_complete(channel.type, config):
        return config
    # Kept: a secret made here must be one that the receiver can be told.
    channel.config = transport_for(channel.type).clean(_as_mapping(config))
    AlertChannel.objects.filter(pk=channel.pk).update(config_sealed=channel.config_sealed)
    return channel.config


def _is_complete(channel_type: str, config: Mapping[str, Any]) -> bool:
    if channel_type == ChannelType.EMAIL:
        return isinstance(config.get("to"), list)
    needed = ("url", "secret") if channel_type == ChannelType.WEBHOOK else ("url",)
    return all(isinstance(config.get(name), str) and config[name] for name in needed)


def test_channel(channel: AlertChannel) -> TestResult:
    """Send a message that says it is a test: one try, no retry, whatever the breaker says.

    Raises `TooManyTestsError`, `ConfigError` and `SealError`.
    """
    from alerts import delivery, settling  # they import this module

    envelope = Envelope(
        content=_test_message(channel),
        message_id="",
        config=ready_config(channel),
        signs_with_previous=channel.previous_secret_until is not None
        and channel.previous_secret_until > timezone.now(),
    )
    attempt = _reserve_test(channel)
    envelope = Envelope(
        envelope.content,
        f"msg_test-{attempt.pk}",
        envelope.config,
        envelope.signs_with_previous,
    )
    landing = delivery.send(channel.type, envelope)
    outcome = landing.outcome
    DeliveryAttempt.objects.filter(pk=attempt.pk).update(
        ms=landing.ms, **settling.attempt_fields(outcome)
    )
    return TestResult(outcome.ok, outcome.status_code, landing.ms, outcome.reply, outcome.error)


test_channel.__test__ = False  # type: ignore[attr-defined]  # pytest must not collect a verb


def _reserve_test(channel: AlertChannel) -> DeliveryAttempt:
    """Its row in the log of tries, unless there are too many of them."""
    with transaction.atomic():
        AlertChannel.objects.select_for_update().get(pk=channel.pk)
        lately = DeliveryAttempt.objects.filter(
            channel=channel,
            notification__isnull=True,
            started_at__gt=timezone.now() - timedelta(minutes=1),
        )
        if lately.count() >= TESTS_A_MINUTE:
            raise TooManyTestsError(str(TooManyTestsError.__doc__))
        return DeliveryAttempt.objects.create(
            tenant_id=channel.tenant_id,
            channel=channel,
            error_class="lost",
            error="It was not finished.",
        )


def _test_message(channel: AlertChannel) -> Message:
    now = timezone.now()
    return Message(
        notification_id="",
        incident_id="",
        event="test",
        severity="info",
        title=f"Test of channel {channel.name}",
        rule="",
        kind="",
        subject=channel.name,
        address="",
        detail="Somebody pressed Test. Alerts of this channel arrive here.",
        started_at=now,
        resolved_at=None,
        link=incidents_link(),
    )


def _write(channel: AlertChannel, fields: dict[str, Any]) -> AlertChannel:
    try:
        with transaction.atomic():
            done = channel.update_guarded(**fields)
    except IntegrityError as error:
        name = fields.get("name")
        raise ChannelNameTakenError(f"There is a channel {name!r} already.") from error
    if not done:
        raise ChannelChangedError(str(ChannelChangedError.__doc__))
    return channel


def _clean_name(name: str) -> str:
    cleaned = name.strip()
    if not cleaned or len(cleaned) > 100:
        raise ConfigError("A channel needs a name of at most 100 characters.")
    return cleaned


def _as_mapping(config: object) -> Mapping[str, Any]:
    if not isinstance(config, Mapping):
        raise ConfigError("The configuration must be a JSON object.")
    return config
