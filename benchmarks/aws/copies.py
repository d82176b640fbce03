"""Makes a larger estate of the simulator's answers: each thing so many times, in AWS's pages."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = "copy-"
_MORE = re.compile(r"<(?:nextToken|Marker)>[^<]")
_IDS = re.compile(r"\b((?:i|vol|eni|r|eipalloc)-)[0-9a-f]")
_DATABASE = re.compile(r"(<DBInstanceIdentifier>[^<]*|:db:[^<]*)")


@dataclass(frozen=True)
class Listing:
    """How one call lists things: the element around all, one that each thing has once, and how
    many AWS puts on a page (`None`: everything on one)."""

    around: str
    each: str
    page_size: int | None


LISTINGS = {
    "DescribeInstances": Listing("reservationSet", "<instanceType>", 500),
    "DescribeVolumes": Listing("volumeSet", "<volumeType>", 500),
    "DescribeAddresses": Listing("addressesSet", "<publicIp>", None),
    "DescribeDBInstances": Listing("DBInstances", "<DBInstanceClass>", 100),
}


class UnexpectedAnswerError(Exception):
    """The simulator's answer is no whole list of things."""


def multiplied(action: str, answer: str, copies: int, token: str) -> str:
    """The page of the larger list that `token` names. Each copy has ids of its own, and one of a
    volume is attached to the same copy of its instance."""
    listing = LISTINGS[action]
    opening, closing = f"<{listing.around}>", f"</{listing.around}>"
    if opening not in answer:
        return answer  # an empty list
    if _MORE.search(answer):
        raise UnexpectedAnswerError(f"{action} answered one page of many")
    before, _, rest = answer.partition(opening)
    things, _, after = rest.rpartition(closing)
    each = max(things.count(listing.each), 1)
    step = copies if listing.page_size is None else max(listing.page_size // each, 1)
    first = int(token.removeprefix(_TOKEN)) if token else 0
    last = min(first + step, copies)
    page = "".join(_copy(things, number) for number in range(first, last))
    following = _token(action, f"{_TOKEN}{last}") if last < copies else ""
    return f"{before}{opening}{page}{closing}{following}{after}"


def _copy(things: str, number: int) -> str:
    things = _IDS.sub(rf"\g<1>{number:x}", things)
    return _DATABASE.sub(rf"\1-{number}", things)


def _token(action: str, token: str) -> str:
    name = "Marker" if action == "DescribeDBInstances" else "nextToken"
    return f"<{name}>{token}</{name}>"
