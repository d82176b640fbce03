"""Servers that answer well, badly, slowly or without end."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
import tracemalloc
import zlib
from contextlib import suppress

import pytest

from monitors.probes.http import HttpEngine
from monitors.probes.types import Assertion, Observation, Target
from tests.monitors.probes.checking import check_all
from tests.monitors.probes.conftest import Check
from tests.monitors.probes.servers import Server, answer, redirects_to, says


def told(observation: Observation) -> tuple[bool, str, str]:
    return observation.success, observation.error_code, observation.error_message


def test_good_answer_succeeds_with_its_phases(probe: Check) -> None:
    def talk(connection: socket.socket) -> None:
        time.sleep(0.2)
        connection.sendall(answer())

    with Server(talk) as server:
        observation = probe(server.url())
    assert told(observation) == (True, "", "")
    assert observation.status_code == 200
    assert observation.checked_address == "127.0.0.1"
    phases = observation.phases
    assert phases is not None
    assert phases.tls_ms is None
    assert phases.ttfb_ms is not None
    assert phases.ttfb_ms >= 190
    assert observation.response_time_ms is not None
    assert observation.response_time_ms >= phases.ttfb_ms


def test_ipv6_is_probed(probe: Check) -> None:
    with Server(says(answer()), host="::1") as server:
        observation = probe(server.url(host="[::1]"))
    assert observation.success
    assert observation.checked_address == "::1"


def test_request_is_what_the_target_says(probe: Check) -> None:
    with Server(says(answer())) as server:
        observation = probe(
            server.url("/path?q=1"),
            method="post",
            headers={"X-Token": "abc", "Accept": "text/html"},
            body='{"a": 1}',
        )
    assert observation.success
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /path?q=1 HTTP/1.1"
    assert {"X-Token: abc", "Accept: text/html", "User-Agent: hostmaster"} <= set(lines)
    assert "Content-Type: application/json" in lines
    assert body in (b"", b'{"a": 1}')  # it may come in a packet of its own


def test_handle_keeps_nothing_of_the_check_before(probe: Check) -> None:
    with Server(says(answer(b"", headers={"Set-Cookie": "id=1"}))) as server:
        probe(server.url(), method="POST", headers={"X-Token": "abc"}, body="text")
        probe(server.url())
        probe(server.url(), method="HEAD")
        probe(server.url(), method="DELETE")
    for request, method in zip(server.requests[1:], (b"GET", b"HEAD", b"DELETE"), strict=True):
        assert request.startswith(method + b" / HTTP/1.1\r\n")
        for trace in (b"X-Token", b"Content-Type", b"Content-Length", b"Cookie", b"text"):
            assert trace not in request


@pytest.mark.parametrize(
    ("status", "expected", "success"),
    [
        ("204 No Content", "200-399", True),
        ("404 Not Found", "200-399", False),
        ("404 Not Found", "200-299,404", True),
        ("503 Busy", "5xx", True),
        ("200 OK", "201, 204", False),
    ],
)
def test_status_is_compared(status: str, expected: str, success: bool, probe: Check) -> None:
    with Server(says(answer(b"", status))) as server:
        observation = probe(server.url(), expected_status=expected)
    assert observation.success is success
    assert observation.status_code == int(status[:3])
    if not success:
        assert told(observation)[1:] == (
            "status",
            f"The status is {status[:3]}, expected {expected}.",
        )


def test_keyword_must_be_there_or_not(probe: Check) -> None:
    body = "Willkommen, schöne Welt".encode("latin-1")
    reply = answer(body, headers={"Content-Type": "text/html; charset=iso-8859-1"})
    with Server(says(reply)) as server:
        assert probe(server.url(), keyword="schöne").success
        missing = probe(server.url(), keyword="häßlich")
        unwanted = probe(server.url(), keyword="schöne", keyword_absent=True)
    assert told(missing)[1:] == ("keyword", "The answer does not contain the keyword 'häßlich'.")
    assert told(unwanted)[1:] == ("keyword", "The answer contains the keyword 'schöne'.")


def test_assertions_are_judged_on_a_compressed_answer(probe: Check) -> None:
    reply = answer(gzip.compress(b'{"status": "degraded"}'), headers={"Content-Encoding": "gzip"})
    with Server(says(reply)) as server:
        observation = probe(server.url(), assertions=[Assertion("json", "==", "$.status", "ok")])
    assert told(observation)[1:] == (
        "assertion",
        "The JSON at $.status is degraded, expected == ok.",
    )


def test_slow_headers_end_at_their_own_limit(probe: Check) -> None:
    with Server(lambda connection: time.sleep(8)) as server:
        began = time.monotonic()
        observation = probe(server.url(), timeout_seconds=6.0)
    assert told(observation) == (False, "timeout", "No answer headers within 1 s.")
    assert 0.9 < time.monotonic() - began < 2.0
    assert observation.response_time_ms is not None
    assert 900 < observation.response_time_ms < 2000


def test_dripping_headers_end_at_their_own_limit(probe: Check) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(80):
            connection.sendall(f"X-{number}: y\r\n".encode())
            time.sleep(0.1)

    with Server(drip) as server:
        observation = probe(server.url(), timeout_seconds=6.0)
    assert told(observation) == (False, "timeout", "No answer headers within 1 s.")


def test_slow_handshake_ends_at_the_limit_of_connecting(probe: Check) -> None:
    with Server(lambda connection: time.sleep(8), reads_request=False) as server:
        observation = probe(f"https://127.0.0.1:{server.port}/", timeout_seconds=6.0)
    assert told(observation) == (False, "timeout", "The TLS handshake was not done within 1 s.")


def test_slow_body_may_take_the_whole_time_out_and_no_more(probe: Check) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b".")
            time.sleep(0.1)

    with Server(drip) as server:
        began = time.monotonic()
        observation = probe(server.url(), timeout_seconds=2.5)
    assert told(observation) == (False, "timeout", "The answer was not whole within 2.5 s.")
    assert observation.status_code == 200
    assert 2.4 < time.monotonic() - began < 3.5


def test_time_out_holds_for_all_redirects_together(probe: Check) -> None:
    hops = iter(range(1000))

    def talk(connection: socket.socket) -> None:
        time.sleep(0.4)
        redirects_to(f"/{next(hops)}")(connection)

    with Server(talk) as server:
        observation = probe(server.url("/start"), timeout_seconds=1.5, max_redirects=100)
    assert observation.error_code == "timeout"


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    with suppress(OSError):
        while True:
            connection.sendall(b"x" * 65536)


TOO_LARGE = "The answer is larger than 1024 KiB, more is not read; try HEAD."


@pytest.mark.parametrize("keyword", ["", "never there"])
def test_endless_body_is_read_to_its_limit(keyword: str, probe: Check) -> None:
    with Server(endless) as server:
        observation = probe(server.url(), keyword=keyword)
    assert told(observation) == (False, "too_large", TOO_LARGE)


def gzip_bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(128))
    return bomb + packer.flush()


def test_gzip_bomb_is_unpacked_to_its_limit(probe: Check) -> None:
    bomb = gzip_bomb()  # 0.1 MB that become 128 MB
    with Server(says(answer(bomb, headers={"Content-Encoding": "gzip"}))) as server:
        tracemalloc.start()
        observation = probe(server.url(), keyword="boom", timeout_seconds=8.0)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert told(observation) == (False, "too_large", TOO_LARGE)
    assert peak < 16 * 1024 * 1024


def test_broken_compression_is_named(probe: Check) -> None:
    with Server(says(answer(b"plain text", headers={"Content-Encoding": "gzip"}))) as server:
        observation = probe(server.url())
    assert told(observation) == (False, "not_http", "The answer's compression is broken.")


@pytest.mark.parametrize(
    "line", [b"X: " + b"y" * 1000 + b"\r\n", b"X: " + b"y" * 120_000 + b"\r\n"]
)
def test_huge_headers_are_read_to_their_limit(line: bytes, probe: Check) -> None:
    with Server(says(b"HTTP/1.1 200 OK\r\n", line * 100, b"\r\n")) as server:
        observation = probe(server.url())
    assert told(observation) == (False, "too_large", "The headers are larger than 64 KiB.")


def test_endless_interim_answers_are_read_to_their_limit(probe: Check) -> None:
    with Server(says(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 10_000)) as server:
        observation = probe(server.url())
    assert observation.error_code == "too_large"


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset_within(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbeginning")
    time.sleep(0.1)
    reset(connection)


BROKEN = "The connection broke before the answer was whole."


@pytest.mark.parametrize(
    ("talk", "code", "message"),
    [
        (reset, "reset", BROKEN),
        (reset_within, "reset", BROKEN),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), "reset", BROKEN),
        (says(), "empty_reply", "The server hung up without an answer."),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n"), "not_http", "The answer is not HTTP."),
        (says(b"220 mail.example ESMTP\r\n"), "not_http", "The answer is not HTTP."),
        (says(b"\x00\xff\x01binary\x00\r\n\r\n"), "not_http", "The answer is not HTTP."),
        (says(b"HTTP/1.1 banana\r\n\r\n"), "not_http", "The answer is not HTTP."),
        (says(b"HTTP/9.9 200 OK\r\n\r\n"), "not_http", "The answer is not HTTP."),
        (
            says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n"),
            "not_http",
            "The answer breaks the rules of HTTP.",
        ),
    ],
)
def test_broken_answer_is_named(talk: object, code: str, message: str, probe: Check) -> None:
    with Server(talk) as server:  # type: ignore[arg-type]  # parametrize loses the type
        observation = probe(server.url())
    assert told(observation) == (False, code, message)


def test_refused_port_is_named(probe: Check) -> None:
    with Server(says()) as server:
        url = server.url()
    assert told(probe(url)) == (
        False,
        "connect",
        "Nothing listens there: the connection was refused.",
    )


def test_unknown_name_is_named(probe: Check) -> None:
    observation = probe("http://unknown.invalid/", timeout_seconds=3.0)
    assert observation.error_code in ("dns", "timeout")  # without DNS nobody says no
    assert observation.error_message.startswith("The host name")


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "PUT", "GET"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (302, "HEAD", "HEAD"),
    ],
)
def test_redirect_changes_the_method_as_browsers_do(
    status: int, method: str, then: str, probe: Check
) -> None:
    with (
        Server(says(answer(b""))) as target,
        Server(redirects_to(target.url("/end"), status)) as server,
    ):
        observation = probe(server.url(), method=method, body="x" if method == "POST" else "")
    assert observation.success, observation
    assert target.requests[0].startswith(f"{then} /end ".encode())


def test_secret_headers_stay_with_their_origin(probe: Check) -> None:
    headers = {"Authorization": "Bearer abc", "X-Api-Key": "abc", "Accept": "text/plain"}
    with (
        Server(says(answer())) as target,
        Server(redirects_to(target.url())) as server,
    ):
        assert probe(server.url(), headers=headers).success
    assert b"abc" in server.requests[0]
    assert b"abc" not in target.requests[0]
    assert b"Accept: text/plain" in target.requests[0]


def test_redirect_is_an_answer_when_not_followed(probe: Check) -> None:
    with Server(redirects_to("/other", 301)) as server:
        observation = probe(server.url(), follow_redirects=False)
    assert (observation.success, observation.status_code) == (True, 301)


@pytest.mark.parametrize("location", ["/", "", "/#again"])
def test_redirect_loop_is_named(location: str, probe: Check) -> None:
    with Server(redirects_to(location)) as server:
        observation = probe(server.url())
    assert told(observation)[:2] == (False, "redirect")
    assert len(server.requests) <= 2


def test_redirects_have_a_limit(probe: Check) -> None:
    numbers = iter(range(1000))

    def talk(connection: socket.socket) -> None:
        redirects_to(f"/{next(numbers)}")(connection)

    with Server(talk) as server:
        observation = probe(server.url("/start"), max_redirects=3)
    assert told(observation) == (False, "redirect", "More than 3 redirects.")
    assert len(server.requests) == 4


@pytest.mark.parametrize("scheme", ["gopher", "file", "ftp", "dict", "ldap", "scp", "javascript"])
def test_redirect_to_another_scheme_is_refused(scheme: str, probe: Check) -> None:
    with Server(redirects_to(f"{scheme}://127.0.0.1/etc/passwd")) as server:
        observation = probe(server.url())
    assert told(observation) == (
        False,
        "redirect",
        "A redirect leads to no address of http or https.",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"url": ""},
        {"url": "127.0.0.1"},
        {"url": "gopher://127.0.0.1/"},
        {"url": "http://"},
        {"url": "http://127.0.0.1:99999/"},
        {"url": "http://127.0.0.1 /"},
        {"url": "http://127.0.0.1/\r\nX: y"},
        {"url": "http://a\0b/"},
        {"url": "http://" + "a" * 9000 + "/"},
        {"url": "http://xn--\ud800/"},
        {"headers": {"X\r\nY": "z"}},
        {"headers": {"X": "y\r\nZ: a"}},
        {"headers": {"Content-Length": "5"}},
        {"headers": {"Transfer-Encoding": "chunked"}},
        {"method": "CONNECT"},
        {"method": "GET / HTTP/1.1\r\nX: y"},
        {"expected_status": "ok"},
        {"min_tls_version": "3.0"},
        {"kind": "tcp", "url": "tcp://127.0.0.1"},
        {"kind": "tcp", "url": "tcp://127.0.0.1:0"},
        {"kind": "tcp", "url": "tcp://127.0.0.1:80/path"},
    ],
)
def test_target_that_cannot_be_probed_is_an_observation(
    fields: dict[str, object], probe: Check
) -> None:
    observation = probe(**{"url": "http://127.0.0.1:9/", **fields})
    assert told(observation)[:2] == (False, "invalid")
    assert observation.error_message.endswith(".")
    assert "\n" not in observation.error_message


def test_secrets_are_not_shown_by_repr() -> None:
    target = Target("http", "http://a/", headers={"Authorization": "abc123"}, body="abc123")
    assert "abc123" not in repr(target)


def test_hundreds_of_slow_servers_do_not_wait_for_each_other(
    engine: HttpEngine, opened: None
) -> None:
    def talk(connection: socket.socket) -> None:
        time.sleep(0.4)
        connection.sendall(answer())

    with Server(talk) as server:
        targets = {
            str(number): Target("http", server.url(f"/{number}"), timeout_seconds=10.0)
            for number in range(150)
        }
        began = time.monotonic()
        seen = check_all(engine, targets)
    took = time.monotonic() - began
    assert [seen[key].error_message for key in seen if not seen[key].success] == []
    assert took < 8  # one after the other: 60 s


def test_no_more_than_the_free_slots_are_taken(root: object, opened: None) -> None:
    with Server(says(answer())) as server, HttpEngine(2) as engine:
        target = Target("http", server.url())
        engine.add("a", target)
        engine.add("b", target)
        assert (engine.in_flight, engine.free_slots) == (2, 0)
        with pytest.raises(RuntimeError):
            engine.add("c", target)
        seen = dict(engine.poll(5))
        while engine.in_flight:
            seen.update(engine.poll(5))
        assert seen.keys() == {"a", "b"}
        assert engine.free_slots == 2


def test_closing_ends_what_is_under_way(opened: None) -> None:
    hung_up = threading.Event()

    def talk(connection: socket.socket) -> None:
        if not connection.recv(1):
            hung_up.set()

    with Server(talk) as server:
        engine = HttpEngine(2)
        engine.add("a", Target("http", server.url()))
        while not server.requests:
            engine.poll(0.05)
        engine.close()
        assert hung_up.wait(5)
