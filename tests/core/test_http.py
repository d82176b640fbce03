"""The guarded session against real servers on loopback."""

from __future__ import annotations

import gzip
import inspect
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pytest_django.fixtures import Settings
from urllib3.connection import HTTPConnection, HTTPSConnection  # noqa: TID251 - its insides are pinned

from hostmaster.core.net import http
from hostmaster.core.net.guard import DestinationNotAllowedError
from hostmaster.core.net.http import (
    ProxyRefusedError,
    ResponseTooLargeError,
    guarded_session,
    read_limited,
)

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """Answers by path; remembers who came."""

    daemon_threads = True

    def __init__(self) -> None:
        self.hits: list[str] = []
        self.answers: dict[str, Answer] = {}
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A client that hangs up in mid-answer is what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.hits.append(self.path)
        self.server.answers.get(self.path, say(b"hello"))(self)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def say(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def redirect(location: str, status: int = 302, body: bytes = b"") -> Answer:
    return say(body, status, Location=location)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with guarded_session() as guarded:
        yield guarded


@pytest.fixture
def loopback_opened(settings: Settings) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["127.0.0.0/8"]


LOOPBACK_FORMS = [
    *("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.0.0.1", "017700000001"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "user:pass@127.0.0.1", "localhost."),
    *("127。0。0。1", "①②⑦.0.0.1", "%31%32%37.0.0.1"),
]


@pytest.mark.parametrize("host", LOOPBACK_FORMS)
def test_no_spelling_of_loopback_reaches_the_server(
    host: str, server: Server, session: requests.Session
) -> None:
    with pytest.raises((DestinationNotAllowedError, requests.RequestException)):
        session.get(f"http://{host}:{server.server_port}/")
    assert server.hits == []


@pytest.mark.parametrize("host", LOOPBACK_FORMS[:6])
def test_same_spelling_does_reach_an_opened_network(
    host: str, server: Server, session: requests.Session, loopback_opened: None
) -> None:
    assert session.get(f"http://{host}:{server.server_port}/").text == "hello"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["127.0.0.2", "2130706434", "[::1]"])
def test_redirect_is_judged_too(
    status: int, target: str, server: Server, session: requests.Session, settings: Settings
) -> None:
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["127.0.0.1/32"]
    server.answers["/away"] = redirect(f"http://{target}:{server.server_port}/secret", status)
    with pytest.raises(DestinationNotAllowedError):
        session.get(f"{server.url}/away")
    assert server.hits == ["/away"]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1"])
def test_only_http_is_followed(
    target: str, server: Server, session: requests.Session, loopback_opened: None
) -> None:
    server.answers["/away"] = redirect(target)
    for url in (target, f"{server.url}/away"):
        with pytest.raises(requests.exceptions.InvalidSchema):
            session.get(url)


def test_redirects_end(server: Server, session: requests.Session, loopback_opened: None) -> None:
    server.answers["/round"] = redirect("/round")
    with pytest.raises(requests.TooManyRedirects):
        session.get(f"{server.url}/round")
    assert len(server.hits) == http.MAX_REDIRECTS + 1


def test_name_is_judged_by_its_address_not_its_text(
    server: Server, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **kw: real("127.0.0.1", *a, **kw))
    with pytest.raises(DestinationNotAllowedError):
        session.get(f"http://harmless.example:{server.server_port}/")
    assert server.hits == []


def test_proxy_of_the_environment_is_not_used(
    server: Server,
    session: requests.Session,
    loopback_opened: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert session.get(server.url).text == "hello"


def test_proxy_of_the_caller_is_refused(
    server: Server, session: requests.Session, loopback_opened: None
) -> None:
    with pytest.raises(ProxyRefusedError):
        session.get("http://8.8.8.8/", proxies={"http": server.url})
    assert server.hits == []


def test_body_within_the_limit_is_read(
    server: Server, session: requests.Session, loopback_opened: None
) -> None:
    server.answers["/"] = say(b"x" * 1000)
    response = session.get(f"{server.url}/", stream=True)
    assert read_limited(response, max_bytes=1000) == b"x" * 1000


def test_body_over_the_limit_is_not_read(
    server: Server, session: requests.Session, loopback_opened: None
) -> None:
    server.answers["/"] = say(b"x" * 1001)
    response = session.get(f"{server.url}/", stream=True)
    with pytest.raises(ResponseTooLargeError):
        read_limited(response, max_bytes=1000)


def test_limit_counts_what_compression_unpacks_to(
    server: Server, session: requests.Session, loopback_opened: None
) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    server.answers["/"] = say(bomb, Content_Encoding="gzip")
    assert len(bomb) < http.MAX_BYTES
    with pytest.raises(ResponseTooLargeError):
        session.get(f"{server.url}/")


def endless(handler: BaseHTTPRequestHandler) -> None:
    """A redirect whose body says it is compressed, is not, and never ends."""
    handler.send_response(302)
    handler.send_header("Location", "/")
    handler.send_header("Content-Encoding", "gzip")
    handler.end_headers()
    for _ in range(400):
        handler.wfile.write(bytes(100_000))
    handler.server.answers["/sent"] = say(b"")  # type: ignore[attr-defined]  # our Server


def test_body_of_a_redirect_is_limited_too(
    server: Server, session: requests.Session, loopback_opened: None
) -> None:
    server.answers["/away"] = redirect("/", body=bytes(http.MAX_BYTES + 1))
    with pytest.raises(ResponseTooLargeError):
        session.get(f"{server.url}/away")
    assert server.hits == ["/away"]


def test_broken_body_of_a_redirect_is_not_read_to_its_end(
    server: Server, session: requests.Session, loopback_opened: None
) -> None:
    server.answers["/away"] = endless
    assert session.get(f"{server.url}/away").text == "hello"
    assert "/sent" not in server.answers


def drip(first: bytes) -> Answer:
    """Sends `first`, then a byte now and then: no single read times out."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(first)
        for _ in range(100):
            time.sleep(0.05)
            handler.wfile.write(b"x")
            handler.wfile.flush()

    return answer


@pytest.mark.parametrize(
    "first", [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: "]
)
def test_dripping_answer_ends_at_the_deadline(
    first: bytes,
    server: Server,
    session: requests.Session,
    loopback_opened: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "TOTAL_SECONDS", 0.3)
    server.answers["/"] = drip(first)
    started = time.monotonic()
    with pytest.raises((requests.Timeout, requests.ConnectionError)):
        session.get(f"{server.url}/")
    assert time.monotonic() - started < 2


def test_silent_server_times_out_by_default(
    server: Server,
    session: requests.Session,
    loopback_opened: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "READ_SECONDS", 0.2)
    server.answers["/"] = lambda _: time.sleep(1)
    with pytest.raises(requests.ReadTimeout):
        session.get(f"{server.url}/")


def test_connection_is_kept_between_requests(
    server: Server, session: requests.Session, loopback_opened: None
) -> None:
    ports: list[int] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.close_connection = False
        ports.append(handler.client_address[1])
        say(b"hello")(handler)

    server.answers["/"] = answer
    assert [session.get(f"{server.url}/").text for _ in range(3)] == ["hello"] * 3
    assert len(set(ports)) == 1


def test_refused_connection_is_requests_own_error(
    session: requests.Session, loopback_opened: None
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(requests.ConnectionError):
        session.get(f"http://127.0.0.1:{port}/")


def test_https_is_guarded_and_verified(
    server: Server, session: requests.Session, settings: Settings, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://localhost:{server.server_port}/"
    with pytest.raises(DestinationNotAllowedError):
        session.get(url, verify=str(certificate))
    settings.HOSTMASTER_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    assert session.get(url, verify=str(certificate)).text == "hello"
    with pytest.raises(requests.exceptions.SSLError):
        session.get(url)


def test_every_socket_is_ours(
    server: Server,
    session: requests.Session,
    loopback_opened: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(*_: object, **__: object) -> socket.socket:
        raise AssertionError("urllib3 opened a socket of its own")

    monkeypatch.setattr("urllib3.util.connection.create_connection", forbidden)
    assert session.get(server.url).text == "hello"


def test_urllib3_still_dials_by_the_method_we_override() -> None:
    """`_new_conn`, `_dns_host` and `pool_classes_by_scheme` are urllib3's own business: when an
    upgrade moves them, this fails before a forbidden address is dialled."""
    for connection in (HTTPConnection, HTTPSConnection):
        assert list(inspect.signature(connection._new_conn).parameters) == ["self"]
        assert "self._new_conn()" in inspect.getsource(connection.connect)
        assert connection("name.example.")._dns_host == "name.example."
    manager = http.GuardedAdapter().poolmanager
    for scheme in ("http", "https"):
        pool = manager.connection_from_url(f"{scheme}://name.example/")
        own = pool.ConnectionCls._new_conn
        assert own.__module__ == "hostmaster.core.net.http"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + signed.public_bytes(Encoding.PEM)
    )
    return path
