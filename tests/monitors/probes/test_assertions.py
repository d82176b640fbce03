"""Claims about an answer: which can be made, and which hold."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.probes.assertions import (
    OPS,
    SOURCES,
    Answer,
    broken_claim,
    parse_assertions,
    validate_assertions,
)

DOCUMENT = {
    "status": "ok",
    "count": 3,
    "ratio": 0.5,
    "ready": True,
    "nothing": None,
    "items": [{"name": "a", "size": 1}, {"name": "b", "size": 2}],
    "odd key": {"x.y": 1},
    "version": "2.10.1",
}


def judge(body: str = json.dumps(DOCUMENT), **assertion: Any) -> str:
    answer = Answer(200, {"content-type": "application/json", "x-count": "12"}, body, 321, 87)
    return broken_claim(parse_assertions([assertion]), answer)


HOLDS: list[tuple[str, str, str, object]] = [
    ("json", "$.status", "==", "ok"),
    ("json", "status", "==", "ok"),
    ("json", "$.status", "!=", "down"),
    ("json", "$.count", "==", 3),
    ("json", "$.count", "==", "3"),
    ("json", "$.count", ">=", 3),
    ("json", "$.count", "<", "4"),
    ("json", "$.ratio", "<=", 0.5),
    ("json", "$.ready", "==", True),
    ("json", "$.ready", "==", "true"),
    ("json", "$.nothing", "==", None),
    ("json", "$.nothing", "exists", None),
    ("json", "$.missing", "exists", False),
    ("json", "$.items[0].name", "==", "a"),
    ("json", "$.items[-1].name", "==", "b"),
    ("json", "$.items[*].name", "contains", "b"),
    ("json", "$.items", "length", 2),
    ("json", "$.status", "length", 2),
    ("json", "$.items[0]", "contains", "size"),
    ("json", "$['odd key']['x.y']", "==", 1),
    ("json", "$.version", "matches", r"^2\.\d+\."),
    ("json", "$.status", "not_contains", "error"),
    ("header", "Content-Type", "contains", "json"),
    ("header", "X-COUNT", ">", 10),
    ("header", "X-Missing", "exists", False),
    ("status", "", "==", 200),
    ("body", "", "contains", "ready"),
    ("body", "", "matches", "(?i)READY"),
    ("body_size", "", "<", 1000),
    ("response_time", "", "<=", 87),
]
BROKEN: list[tuple[str, str, str, object, str]] = [
    ("json", "$.status", "==", "up", "The JSON at $.status is ok, expected == up."),
    ("json", "$.ready", "==", 1, "The JSON at $.ready is true, expected == 1."),
    ("json", "$.missing", "==", 1, "The JSON at $.missing is missing, expected == 1."),
    ("json", "$.missing", "!=", 1, "The JSON at $.missing is missing, expected != 1."),
    ("json", "$.status", ">", 1, "The JSON at $.status is ok, expected > 1."),
    (
        "json",
        "$.status",
        "exists",
        False,
        "The JSON at $.status is present, expected exists false.",
    ),
    ("json", "$.items[7].name", "exists", True, "is missing, expected exists true."),
    ("header", "X-Count", "==", "13", "The header X-Count is 12, expected == 13."),
    ("status", "", "<", 200, "The status is 200, expected < 200."),
    ("body", "", "not_contains", "ready", "The body does not satisfy: not_contains ready."),
    ("response_time", "", "<", 50, "The response time in ms is 87, expected < 50."),
]


@pytest.mark.parametrize(("source", "target", "op", "value"), HOLDS)
def test_claim_holds(source: str, target: str, op: str, value: object) -> None:
    assert judge(source=source, target=target, op=op, value=value) == ""


@pytest.mark.parametrize(("source", "target", "op", "value", "sentence"), BROKEN)
def test_broken_claim_says_what_was_seen(
    source: str, target: str, op: str, value: object, sentence: str
) -> None:
    assert judge(source=source, target=target, op=op, value=value).endswith(sentence)


@pytest.mark.parametrize("body", ["", "<html>", "{", "[" * 100_000, "NaN,"])
def test_answer_that_is_no_json_is_named(body: str) -> None:
    assert judge(body, source="json", target="$.a", op="exists") == "The answer is not JSON."


def test_json_beyond_the_limit_is_not_searched() -> None:
    body = json.dumps(["x" * 300_000])
    assert "larger than 256 KiB" in judge(body, source="json", target="$[0]", op="exists")


def test_shown_value_is_clipped() -> None:
    sentence = judge(json.dumps({"a": "x" * 5000}), source="json", target="$.a", value="y")
    assert len(sentence) < 200


@pytest.mark.parametrize(
    "value",
    [
        {"source": "weather", "op": "==", "value": 1},
        {"source": "json", "op": "==", "value": 1},
        {"source": "json", "target": "$..a", "op": "exists"},
        {"source": "json", "target": "$.a[?(@.b =~ '(a+)+$')]", "op": "exists"},
        {"source": "json", "target": "$.a|$.b", "op": "exists"},
        {"source": "json", "target": "$.`parent`", "op": "exists"},
        {"source": "json", "target": "$.[", "op": "exists"},
        {"source": "header", "op": "exists"},
        {"source": "status", "op": "contains", "value": "2"},
        {"source": "status", "op": "==", "value": "two hundred"},
        {"source": "status", "op": "==", "value": True},
        {"source": "json", "target": "$.a", "op": "~", "value": 1},
        {"source": "json", "target": "$.a", "op": "<", "value": "many"},
        {"source": "json", "target": "$.a", "op": "length", "value": "2"},
        {"source": "json", "target": "$.a", "op": "exists", "value": "yes"},
        {"source": "json", "target": "$.a", "op": "contains", "value": ""},
        {"source": "json", "target": "$.a", "op": "matches", "value": "("},
        {"source": "json", "target": "$.a", "op": "matches", "value": "(?=a)"},
        {"source": "json", "target": "$.a", "op": "matches", "value": "[ab]*a[ab]{900}x"},
        {"source": "json", "target": "$.a", "op": "==", "value": ["a"]},
        {"source": "json", "target": "$.a", "op": "==", "value": "x" * 501},
        {"source": "json", "target": "$.a", "op": "==", "value": 1, "path": "$"},
        "status == 200",
        None,
    ],
)
def test_senseless_assertion_is_refused_with_its_number(value: object) -> None:
    good = {"source": "status", "op": "==", "value": 200}
    with pytest.raises(ValueError, match=r"^Assertion 2: .+\.$"):
        validate_assertions([good, value])


def test_too_many_assertions_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 20"):
        validate_assertions([{"source": "status", "op": "==", "value": 200}] * 21)


def test_too_many_patterns_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 5 regular"):
        validate_assertions([{"source": "body", "op": "matches", "value": "a"}] * 6)


@pytest.mark.parametrize("values", ["text", {"source": "status"}])
def test_what_is_no_list_is_refused(values: Any) -> None:
    with pytest.raises(ValueError, match="list of objects"):
        validate_assertions(values)


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}", "^(([a-z])+.)+[A-Z]$", "[ab]*a[ab]{200}x"]
)
def test_evil_pattern_costs_no_more_than_another(pattern: str) -> None:
    body = json.dumps("a" * 200_000 + "!")
    began = time.process_time()
    judge(body, source="body", op="matches", value=pattern)
    assert time.process_time() - began < 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    st.sampled_from(SOURCES),
    st.sampled_from(OPS),
    st.text(max_size=20) | st.sampled_from(["$", "$.a", "$[0]", "$.*", "$[*]", "content-type"]),
    JSON,
    st.text() | JSON.map(json.dumps),
)
def test_whatever_is_written_is_refused_or_judged(
    source: str, op: str, target: str, value: object, body: str
) -> None:
    assertion = {"source": source, "op": op, "target": target, "value": value}
    try:
        assertions = parse_assertions([assertion])
    except ValueError:
        return
    answer = Answer(200, {"content-type": "text/html"}, body, len(body), 1)
    assert isinstance(broken_claim(assertions, answer), str)
