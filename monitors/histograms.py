"""Latency histograms that merge exactly: counts in bins whose bounds grow by 8 %.

Kept as text, words of `bin:count`. Joining two texts with a space merges them, which any database
can do in an upsert; a bin named twice counts twice.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate

GROWTH = 1.08  # a percentile is off by at most 4 %
_LOG_GROWTH = math.log(GROWTH)


def bin_of(milliseconds: float) -> int:
    """Bin 0 holds up to 1 ms, bin n up to 1.08ⁿ ms."""
    return 0 if milliseconds <= 1 else math.ceil(math.log(milliseconds) / _LOG_GROWTH - 1e-9)


def text_of(milliseconds: float) -> str:
    """The histogram of one value."""
    return f"{bin_of(milliseconds)}:1"


def parse(text: str) -> Counter[int]:
    """Counts by bin."""
    counts: Counter[int] = Counter()
    for word in text.split():
        number, _, count = word.partition(":")
        counts[int(number)] += int(count)
    return counts


def compact(text: str) -> str:
    """The same histogram, each bin once, in order."""
    return " ".join(f"{number}:{count}" for number, count in sorted(parse(text).items()))


def merge(texts: Iterable[str]) -> str:
    return compact(" ".join(texts))


def percentile(counts: Counter[int], percent: float) -> float | None:
    """In milliseconds; the geometric middle of the bin it falls into. `None` for no values."""
    total = counts.total()
    if not total:
        return None
    rank = max(math.ceil(total * percent / 100), 1)
    numbers = sorted(counts)
    reached = accumulate(counts[number] for number in numbers)
    number = next(n for n, seen in zip(numbers, reached, strict=True) if seen >= rank)
    return 1.0 if number == 0 else GROWTH ** (number - 0.5)
