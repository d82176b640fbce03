"""Which transport serves which type of channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from alerts.models.channels import AlertChannel, ChannelType
from alerts.transports import discord, email, slack, webhook
from alerts.transports.base import ConfigError, Transport
from hostmaster.core.crypto import SealError

TRANSPORTS = {
    ChannelType.WEBHOOK.value: cast(Transport, webhook),
    ChannelType.DISCORD.value: cast(Transport, discord),
    ChannelType.SLACK.value: cast(Transport, slack),
    ChannelType.EMAIL.value: cast(Transport, email),
}


def transport_for(channel_type: str) -> Transport:
    """Raises `ConfigError` for a type that is none."""
    try:
        return TRANSPORTS[str(channel_type)]
    except KeyError:
        known = ", ".join(sorted(TRANSPORTS))
        raise ConfigError(f"There is no type {channel_type!r}; there is {known}.") from None


def channel_hint(channel: AlertChannel) -> str:
    """What a page may show of where this channel leads."""
    try:
        config = channel.config
        is_readable = isinstance(config, Mapping)  # of another program it may be any JSON
        hint = transport_for(channel.type).hint(config) if is_readable else ""
    except (ConfigError, SealError, ValueError):
        return "cannot be read"
    return hint or "not configured"
