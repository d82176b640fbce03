"""Any text in any field of a message, the nastiest of it often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from alerts.messages import Digest, Message
from alerts.transports.base import Envelope

STARTED = datetime(2026, 11, 24, 12, tzinfo=UTC)
NASTY = [
    *("@everyone", "<!channel>", "<@U012345>", "<script>", "&amp;", "`" * 9, "*" * 99, "\\" * 50),
    *("\x00", "\r\nBcc: victim@example.com", "\ud800", "\udfff\ud83d", "\u202egnp.exe", "\u2066"),
    *(
        "🧨" * 400,
        "👩‍👩‍👧‍👦" * 99,
        "ä" * 5000,
        "&" * 4000,
        "<" * 3000,
        "x" * 9000,
        "\n" * 3000,
        " " * 5000,
    ),
    *("[click](https://evil.example)", "||spoiler||", "\x1b[31m", "\u200b" * 300, "﷽" * 3000),
]
texts = st.one_of(
    st.text(st.characters(), max_size=300),  # halves of surrogate pairs included
    st.sampled_from(NASTY),
    st.lists(st.sampled_from(NASTY), max_size=3).map("".join),
)
severities = st.one_of(st.sampled_from(["warning", "critical", "info"]), texts)
events = st.sampled_from(["opened", "acknowledged", "reminder", "resolved", "test"])


@st.composite
def messages(draw: st.DrawFn) -> Message:
    event = draw(events)
    return Message(
        notification_id="n",
        incident_id="0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0",
        event=event,
        severity=draw(severities),
        title=draw(texts),
        rule=draw(texts),
        kind=draw(severities),
        subject=draw(texts),
        address=draw(texts),
        detail=draw(texts),
        started_at=STARTED,
        resolved_at=STARTED + timedelta(minutes=12) if event == "resolved" else None,
        link="https://hostmaster.example/admin/alerts/incident/1/change/",
        was_told_late=draw(st.booleans()),
    )


digests = st.builds(
    lambda few, times: Digest((few * times)[:2800], "https://hostmaster.example/incidents"),
    st.lists(messages(), min_size=2, max_size=4),
    st.sampled_from([1, 20, 700]),
)
contents = st.one_of(messages(), digests)


def in_envelope(content: Message | Digest, **config: Any) -> Envelope:
    return Envelope(content, "msg_3f1c", config)
