"""Whatever a person writes into a monitor, a check gives an observation."""

from __future__ import annotations

import string
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitors.probes.http import HttpEngine
from monitors.probes.types import ERROR_CODES, MAX_MESSAGE_LENGTH, Target
from tests.monitors.probes.checking import check_all

# No name is looked up: what is tried here is the reading of an address.
HOSTS = st.sampled_from(["127.0.0.1", "[::1]", "0x7f.1", "localhost", "10.0.0.1", "[fe80::1%25lo]"])
TEXT = st.text(max_size=40) | st.text(string.printable, max_size=40)
URLS = st.one_of(
    TEXT,
    st.builds("{}://{}{}".format, st.sampled_from(["http", "https", "tcp", "ftp"]), HOSTS, TEXT),
    st.builds("http://{}@{}:{}/{}".format, TEXT, HOSTS, st.integers(-9, 99999), TEXT),
)


@pytest.fixture(scope="module")
def fuzzed_engine() -> Iterator[HttpEngine]:
    pinned = [f"*:{port}:127.0.0.1" for port in (80, 443)]
    with HttpEngine(10, pinned_names=pinned) as engine:
        yield engine


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["http", "tcp"]),
    url=URLS,
    method=st.sampled_from(["GET", "POST"]) | TEXT,
    headers=st.dictionaries(TEXT, TEXT, max_size=3),
    body=TEXT,
    expected_status=st.just("200") | TEXT,
    lowest=st.sampled_from(["1.0", "1.2", "", "x"]),
    flag=st.booleans(),
)
def test_any_text_gives_an_observation(
    fuzzed_engine: HttpEngine,
    kind: str,
    url: str,
    method: str,
    headers: dict[str, str],
    body: str,
    expected_status: str,
    lowest: str,
    flag: bool,
) -> None:
    target = Target(
        kind,
        url,
        method=method,
        headers=headers,
        body=body,
        expected_status=expected_status,
        min_tls_version=lowest,
        verify_tls=flag,
        wants_certificate=flag,
        timeout_seconds=1.0,
    )
    observation = check_all(fuzzed_engine, {"it": target})["it"]
    assert not observation.success
    assert observation.error_code in ERROR_CODES - {"internal"}
    assert 0 < len(observation.error_message) <= MAX_MESSAGE_LENGTH
