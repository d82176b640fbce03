"""What every transport is: it checks a channel's config, and delivers one message once.

A transport knows neither rows nor retries; what its answer means for them is `alerts.delivery`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from alerts.messages import Digest, Message

Config = Mapping[str, Any]
REPLY_BYTES = 1024  # of an answer that are kept
SEND_SECONDS = 30.0  # no transport takes longer for one message


class ConfigError(Exception):
    """The configuration of this channel is not complete or not right."""


@dataclass(frozen=True)
class Envelope:
    """A message on its way. `message_id` is the same at every try."""

    content: Message | Digest
    message_id: str
    config: Config = field(repr=False)
    signs_with_previous: bool = False

    @property
    def leading(self) -> Message:
        """The message whose id this goes under."""
        content = self.content
        return content.messages[0] if isinstance(content, Digest) else content


@dataclass(frozen=True)
class Outcome:
    """What came of one try."""

    ok: bool
    status_code: int | None = None
    error_class: str = ""  # a short stable word: timeout, connect, tls, status, throttled, …
    error: str = ""  # a sentence; holds no secret
    reply: str = ""
    is_refused: bool = False  # the same message will be refused again
    is_gone: bool = False  # the destination says that it is no more
    wait: timedelta | None = None  # the destination asks us to wait so long

    @property
    def is_throttled(self) -> bool:
        return self.error_class == "throttled"


class Transport(Protocol):
    """One module of this package for each type of channel."""

    def clean(self, config: Config) -> dict[str, Any]:
        """`config` as it is to be kept. Raises `ConfigError`, whose sentence says what to do."""

    def hint(self, config: Config) -> str:
        """What may be shown of it: a host, a masked address."""

    def send(self, envelope: Envelope) -> Outcome:
        """One try, within `SEND_SECONDS`. Raises nothing that the destination can cause."""


def refuse_unknown(config: Config, known: set[str]) -> None:
    """Raises `ConfigError` for a name we would ignore: most likely it is misspelt."""
    unknown = sorted(str(name) for name in set(config) - known)
    if unknown:
        raise ConfigError(
            f"This type of channel knows no {', '.join(map(repr, unknown))}; "
            f"it knows {', '.join(sorted(known))}."
        )


def text_of(config: Config, *names: str) -> str:
    """The first of these that is there. Raises `ConfigError` when it is not text."""
    for name in names:
        value = config.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise ConfigError(f"{name!r} must be text.")
        return value.strip()
    return ""
