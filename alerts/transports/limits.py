"""Text made to fit: whatever a name or an error holds, a payload stays inside its limits.

Lengths are counted in UTF-16 units, as Discord and Slack count them; an emoji is two.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from hostmaster.core.masking import storable

ELLIPSIS = "…"
WORD = 40  # of a severity or a kind: another program may have written anything there
# Control characters but the line's end and the tab, and, invisible, what turns the direction of a
# whole line round. A look at each character's category took seconds for a long page of an error.
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")


def plain(text: str) -> str:
    """`text` without control characters, halves of surrogate pairs and turns of direction; its
    line ends stay."""
    ended = storable(text).replace("\r\n", "\n").replace("\r", "\n")
    return _UNWANTED.sub("", ended).strip()


def one_line(text: str) -> str:
    return " ".join(plain(text).split())


def units(text: str) -> int:
    """How long `text` is in UTF-16."""
    if text.isascii():
        return len(text)
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def clip(text: str, limit: int, escape: Callable[[str], str] = str) -> str:
    """At most `limit` units of `text`, each character given through `escape`; what was cut ends in
    an ellipsis. No escape sequence and no emoji of one code point is cut in two."""
    whole, room = [], limit
    for character in text:
        shown = escape(character)
        room -= units(shown)
        if room < 0:
            break
        whole.append(shown)
    else:
        return "".join(whole)
    spare = limit - sum(map(units, whole))
    while whole and spare < 1:
        spare += units(whole.pop())
    return "".join(whole) + (ELLIPSIS if spare >= 1 else "")
