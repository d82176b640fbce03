from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from hostmaster.core.web.parsing import StrictParser

# Half of the texts hold what matters: backslashes, NUL, a lone surrogate, the letters of an escape.
texts = st.text(max_size=8) | st.text(st.sampled_from("\\u0\x00\ud800a"), max_size=10)
bodies = st.recursive(
    texts | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def parse(body: str) -> Any:
    request = RequestFactory().post("/", body, content_type="application/json")
    return StrictParser().parse_body(request)


def all_texts(body: Any) -> list[str]:
    if isinstance(body, str):
        return [body]
    if isinstance(body, dict):
        return [text for pair in body.items() for part in pair for text in all_texts(part)]
    return [text for part in body for text in all_texts(part)] if isinstance(body, list) else []


def is_storable(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


@given(bodies)
def test_exactly_what_a_database_can_hold_gets_through(body: Any) -> None:
    text = json.dumps(body)
    if all(is_storable(part) for part in all_texts(body)):
        assert parse(text) == body
    else:
        with pytest.raises(ValueError, match=r"NUL|surrogates"):
            parse(text)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}'])
def test_numbers_that_json_does_not_know_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not JSON"):
        parse(text)
