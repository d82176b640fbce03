"""No spelling, name, scheme or redirect makes a check dial what it must not."""

from __future__ import annotations

import socket

import pytest
from pytest_django.fixtures import Settings

from monitors.probes.http import HttpEngine
from monitors.probes.types import Observation, Target
from tests.hostile_destinations import (
    FOREIGN_SCHEMES,
    METADATA_ADDRESSES,
    REBINDING_NAMES,
    REDIRECT_STATUSES,
    Sink,
    at_port,
    hostile_urls,
)
from tests.monitors.probes.checking import check, check_all
from tests.monitors.probes.servers import Server, answer, redirects_to, says

# An address of loopback that no hostile URL spells, for what may be dialled.
OPENED = "127.0.0.9"


def pins(port: int) -> list[str]:
    """What DNS would answer for the names of an attacker, given at libcurl's own door for it."""
    answers = ["127.0.0.1", "127.0.0.1", "10.255.255.1,127.0.0.1,[::1]", "169.254.169.254"]
    return [
        f"{name}:{port}:{addresses}"
        for name, addresses in zip(REBINDING_NAMES, answers, strict=True)
    ]


def probe_all(urls: list[tuple[str, str]], port: int) -> dict[str, Observation]:
    targets = {
        name: Target("http", at_port(url, port), timeout_seconds=4.0, verify_tls=False)
        for name, url in urls
    }
    with HttpEngine(len(targets), pinned_names=pins(port)) as engine:
        return check_all(engine, targets)


def test_corpus_is_large_and_without_doubles() -> None:
    urls = hostile_urls()
    assert len({name for name, _ in urls}) == len({url for _, url in urls}) == len(urls)
    assert len(urls) >= 200


def test_no_hostile_form_reaches_the_sink() -> None:
    with Sink() as sink:
        seen = probe_all(hostile_urls(), sink.port)
        assert sink.reach() == 0, sink.connections
    assert {observation.success for observation in seen.values()} == {False}
    words = {observation.error_code for observation in seen.values()}
    assert words <= {"not_allowed", "invalid", "dns", "timeout"}


def test_sink_counts_what_is_let_through(settings: Settings) -> None:
    """The test above can fail: opened, dozens of the forms do lead to loopback."""
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["127.0.0.0/8", "::1/128"]
    with Sink() as sink:
        probe_all(hostile_urls(), sink.port)
        assert sink.reach() >= 50


def test_refusals_tell_nothing_of_the_destination() -> None:
    with Sink() as sink:
        seen = probe_all(hostile_urls(), sink.port)
    refusals = {each for each in seen.values() if each.error_code == "not_allowed"}
    assert refusals == {Observation(False, "not_allowed", "This destination is not allowed.")}


@pytest.mark.parametrize("status", REDIRECT_STATUSES)
def test_no_redirect_reaches_the_sink(status: int, settings: Settings) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = [f"{OPENED}/32"]
    with Sink() as sink:
        urls = hostile_urls()

        def talk(connection: socket.socket) -> None:
            path = server.requests[-1].split(b" ")[1].decode()
            if path[1:].isdigit():
                redirect(connection, int(path[1:]))
            else:  # a Location that was read as a path of this server
                connection.sendall(answer())

        def redirect(connection: socket.socket, number: int) -> None:
            location = at_port(urls[number][1], sink.port).encode()
            head = f"HTTP/1.1 {status} Elsewhere\r\nContent-Length: 0\r\nLocation: ".encode()
            connection.sendall(head + location + b"\r\n\r\n")

        with Server(lambda connection: None, host=OPENED) as server:
            server.talk = talk
            seen = probe_all(
                [(name, server.url(f"/{n}", OPENED)) for n, (name, _) in enumerate(urls)],
                sink.port,
            )
        assert sink.reach() == 0, sink.connections
        assert len(server.requests) >= len(urls)
    refused = [each for each in seen.values() if each.error_code == "not_allowed"]
    assert len(refused) >= 100


def test_name_that_leads_elsewhere_the_second_time_is_judged_again(settings: Settings) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = [f"{OPENED}/32"]
    with Sink() as sink:
        talk = redirects_to(f"http://rebinding.example:{sink.port}/")
        with Server(talk, host=OPENED) as server:
            first = f"rebinding.example:{server.port}:{OPENED}"
            with HttpEngine(1, pinned_names=[first, *pins(sink.port)]) as engine:
                observation = check(engine, server.url(host="rebinding.example"))
        assert len(server.requests) == 1
        assert sink.reach() == 0
    assert observation.error_code == "not_allowed"


def test_allowed_network_opens_only_what_it_names(settings: Settings) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = [f"{OPENED}/32"]
    with Sink() as sink:
        seen = probe_all(
            [("opened", f"http://{OPENED}:{{port}}/"), ("other", "http://127.0.0.8:{port}/")],
            sink.port,
        )
        assert sink.reach() == 1
    assert seen["opened"].error_code in ("empty_reply", "reset")
    assert seen["other"].error_code == "not_allowed"


def test_metadata_services_are_never_dialled(settings: Settings) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["0.0.0.0/0", "::/0", "169.254.169.254/32"]
    hosts = [f"[{each}]" if ":" in each else each for each in METADATA_ADDRESSES]
    hosts += ["metadata.example", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376"]
    seen = probe_all([(host, f"http://{host}:{{port}}/latest") for host in hosts], 80)
    assert {name for name, each in seen.items() if each.error_code != "not_allowed"} == set()


def test_port_of_a_trusting_service_is_refused_to_http(opened: None) -> None:
    with HttpEngine(1) as engine:
        observation = check(engine, "http://127.0.0.1:6379/")
    assert observation.error_code == "not_allowed"


@pytest.mark.parametrize("scheme", FOREIGN_SCHEMES)
def test_foreign_scheme_is_refused_even_where_the_address_is_opened(
    scheme: str, opened: None
) -> None:
    with Sink() as sink, HttpEngine(1) as engine:
        observation = check(engine, f"{scheme}://127.0.0.1:{sink.port}/x")
        assert sink.reach() == 0
    assert observation.error_code == "invalid"


def test_environment_names_no_proxy(opened: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sink() as sink, Server(says(answer())) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{sink.port}")
        with HttpEngine(1) as engine:
            assert check(engine, server.url()).success
        assert sink.reach() == 0
