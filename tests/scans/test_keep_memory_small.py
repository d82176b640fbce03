"""What a scan changes of its process, and gives back."""

from __future__ import annotations

import gc

import pytest

from scans.aws.collectors.rows import taken
from scans.aws.memory import COLLECT_EVERY, frugal


@frugal()
def fail() -> None:
    assert gc.isenabled()
    raise ValueError(gc.get_threshold()[0])


def test_garbage_is_looked_for_rarely_while_a_scan_goes_and_as_before_afterwards() -> None:
    before = gc.get_threshold()
    assert before[0] != COLLECT_EVERY
    with pytest.raises(ValueError, match=f"^{COLLECT_EVERY}$"):
        fail()
    assert gc.get_threshold() == before


def test_a_page_is_empty_once_its_things_are_read_in_their_order() -> None:
    things = [1, 2, 3]
    page = {"Things": things, "NextToken": "more"}
    assert list(taken(page, "Things")) == [1, 2, 3]
    assert things == []
    assert page["NextToken"] == "more"


@pytest.mark.parametrize("page", [{}, {"Things": None}, {"Things": []}])
def test_a_page_without_things_has_none(page: dict[str, object]) -> None:
    assert list(taken(page, "Things")) == []
