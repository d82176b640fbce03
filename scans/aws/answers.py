"""How we read what AWS answers: half an answer is none, and instants are UTC, read fast."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from botocore.utils import parse_timestamp

from scans.aws.errors import UnreadableAnswerError

_REPEATED = "hostmaster_repeated_for_half_an_answer"
_NO_BODY = frozenset({"HEAD"})


def attach(client: Any) -> None:
    """Repeat a call of which half the answer came, once; the second time it has failed.

    Measured: of a connection closed in the middle botocore says nothing, and of half a JSON text
    it makes an answer without any results: an account without metrics, or without costs.
    """
    client.meta.events.register_first("needs-retry", _on_answer)


def _on_answer(
    response: Any = None, request_dict: dict[str, Any] | None = None, **_: Any
) -> float | None:
    """Seconds to wait before the call is repeated; `None`: not because of us."""
    if response is None or request_dict is None or request_dict.get("method") in _NO_BODY:
        return None
    http, parsed = response
    if http.status_code >= 300 or not _is_half(http, parsed):
        return None
    if _REPEATED in request_dict["context"]:
        raise UnreadableAnswerError(str(UnreadableAnswerError.__doc__))
    request_dict["context"][_REPEATED] = True
    return 0.0


def _is_half(http: Any, parsed: dict[str, Any]) -> bool:
    promised = str(http.headers.get("Content-Length") or "")
    if promised.isdigit() and len(http.content) < int(promised):
        return True
    if set(parsed) - {"ResponseMetadata"} or not http.content.lstrip().startswith(b"{"):
        return False
    try:
        json.loads(http.content)
    except ValueError:
        return True
    return False


def instant(value: Any) -> datetime:
    """botocore's `timestamp_parser`. Its own turns each into this machine's zone, which took two
    thirds of the 1.1 s of reading a call's 88,000 metric values."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        found = parse_timestamp(value)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
