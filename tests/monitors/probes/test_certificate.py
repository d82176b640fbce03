"""What is told about a server's certificates."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from monitors.probes.types import CertificateReport, Observation
from tests.conftest import missing
from tests.monitors.probes.certificates import DAY, Issued, issue, now
from tests.monitors.probes.conftest import Check
from tests.monitors.probes.servers import Server, answer, says


def reported(observation: Observation) -> CertificateReport:
    assert observation.certificate is not None
    return observation.certificate


def probe_context(probe: Check, context: ssl.SSLContext, **fields: object) -> Observation:
    fields = {"wants_certificate": True, **fields}
    with Server(says(answer()), tls=context) as server:
        return probe(server.url(host="localhost"), **fields)


def contexts(root: Issued) -> dict[str, tuple[ssl.SSLContext, str]]:
    """Every endpoint with a bad certificate, and what its message must say."""
    yesterday, tomorrow = now() - 3 * DAY - DAY / 2, now() + 2 * DAY
    intermediate = issue("Intermediate", root, is_ca=True)
    expired_intermediate = issue("Old intermediate", root, is_ca=True, ends=yesterday)
    stranger = issue("Unknown root", is_ca=True)
    strange_intermediate = issue("Unknown intermediate", stranger, is_ca=True)
    below_expired = issue("below", expired_intermediate)
    below_stranger = issue("below", strange_intermediate)
    future = issue("future", root, starts=tomorrow)
    return {
        "expired": (
            issue("leaf", root, ends=yesterday).context(),
            f"The certificate expired 3 days ago ({yesterday:%Y-%m-%d}).",
        ),
        "expired intermediate": (
            below_expired.context(expired_intermediate.certificate),
            "The issuer's certificate in the chain (CN=Old intermediate) expired 3 days ago",
        ),
        "not_yet_valid": (future.context(), f"is not valid before {tomorrow:%Y-%m-%d %H:%M} UTC"),
        "self_signed": (issue("self").context(), "The certificate is self-signed"),
        "wrong_host": (
            issue("leaf", root, hosts=("other.example", "www.other.example")).context(),
            "The certificate is for other.example, www.other.example, not for localhost.",
        ),
        "untrusted_root": (
            below_stranger.context(strange_intermediate.certificate),
            "ends at a root that is not trusted (CN=Unknown root)",
        ),
        "untrusted_root sent along": (
            below_stranger.context(strange_intermediate.certificate, stranger.certificate),
            "ends at a root that is not trusted (CN=Unknown root)",
        ),
        "incomplete_chain": (
            issue("leaf", intermediate).context(),
            "The chain is incomplete: the issuer's certificate is neither sent nor a trusted root "
            "(CN=Intermediate).",
        ),
    }


KINDS = [
    *("expired", "expired intermediate", "not_yet_valid", "self_signed", "wrong_host"),
    *("untrusted_root", "untrusted_root sent along", "incomplete_chain"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_bad_certificate_fails_the_check_and_says_why(
    kind: str, probe: Check, root: Issued
) -> None:
    context, message = contexts(root)[kind]
    observation = probe_context(probe, context)
    assert (observation.success, observation.error_code) == (False, "certificate")
    assert message in observation.error_message
    report = reported(observation)
    assert (report.valid, report.reason) == (False, kind.split()[0])
    assert report.expires_at == report.chain[0].not_after
    assert observation.status_code is None


@pytest.mark.parametrize("kind", KINDS)
def test_check_that_does_not_verify_succeeds_and_still_reports(
    kind: str, probe: Check, root: Issued
) -> None:
    context, _ = contexts(root)[kind]
    observation = probe_context(probe, context, verify_tls=False)
    assert (observation.success, observation.status_code) == (True, 200)
    report = reported(observation)
    assert (report.valid, report.reason) == (False, kind.split()[0])


@pytest.mark.parametrize("kind", KINDS)
def test_bad_certificate_fails_also_a_check_that_does_not_keep_it(
    kind: str, probe: Check, root: Issued
) -> None:
    context, _ = contexts(root)[kind]
    observation = probe_context(probe, context, wants_certificate=False)
    assert (observation.success, observation.error_code) == (False, "certificate")
    assert observation.error_message.endswith(".")
    assert observation.certificate is None


@pytest.mark.parametrize("verify_tls", [True, False])
def test_good_chain_is_reported_whole(verify_tls: bool, probe: Check, root: Issued) -> None:
    intermediate = issue("Intermediate", root, is_ca=True, ends=now() + 40 * DAY)
    leaf = issue("leaf", intermediate, ends=now() + 10 * DAY + DAY / 2)
    context = leaf.context(intermediate.certificate)
    observation = probe_context(probe, context, verify_tls=verify_tls)
    assert (observation.success, observation.error_message) == (True, "")
    report = reported(observation)
    assert (report.valid, report.reason, report.days_left) == (True, "", 10)
    assert report.expires_at == leaf.certificate.not_valid_after_utc
    assert [each.subject for each in report.chain] == ["CN=leaf", "CN=Intermediate"]
    assert [each.issuer for each in report.chain] == ["CN=Intermediate", "CN=Trusted root"]
    assert report.chain[1].not_after == intermediate.certificate.not_valid_after_utc
    assert report.chain[0].sans == ("localhost", "127.0.0.1", "::1")


def test_expired_days_are_negative(probe: Check, root: Issued) -> None:
    context = issue("leaf", root, ends=now() - 2 * DAY - DAY / 2).context()
    assert reported(probe_context(probe, context)).days_left == -3


def test_certificate_for_an_address_holds_over_ipv6(probe: Check, root: Issued) -> None:
    with Server(says(answer()), tls=issue("leaf", root).context(), host="::1") as server:
        observation = probe(server.url(host="[::1]"), wants_certificate=True)
    assert observation.success
    assert reported(observation).valid
    assert observation.checked_address == "::1"


def test_certificate_is_that_of_the_address_asked_for_not_of_where_it_redirects(
    probe: Check, root: Issued
) -> None:
    second = issue("second", root)
    first = issue("first", root)
    with Server(says(answer()), tls=second.context()) as target:
        location = {"Location": target.url()}
        talk = says(answer(b"", "301 Moved", location))
        with Server(talk, tls=first.context()) as server:
            observation = probe(server.url(), wants_certificate=True)
    assert observation.success
    assert reported(observation).chain[0].subject == "CN=first"


@contextmanager
def old_tls_server(version: str, leaf: Issued, folder: Path) -> Iterator[int]:
    """OpenSSL's own server, for Python's speaks no TLS this old."""
    if shutil.which("openssl") is None:
        missing("the openssl program")
    file = folder / "leaf.pem"
    file.write_bytes(
        leaf.pem
        + leaf.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(file), "-www"]
    command += ["-key", str(file), f"-{version}", "-cipher", "DEFAULT@SECLEVEL=0", "-quiet"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("version", ["tls1", "tls1_1"])
def test_old_tls_is_refused_by_default_and_taken_when_asked_for(
    version: str, probe: Check, root: Issued, tmp_path: Path
) -> None:
    with old_tls_server(version, issue("leaf", root), tmp_path) as port:
        refused = probe(f"https://127.0.0.1:{port}/")
        taken = probe(f"https://127.0.0.1:{port}/", min_tls_version="1.0")
    assert (refused.success, refused.error_code) == (False, "tls")
    assert refused.error_message == "The server does not speak TLS 1.2 or newer."
    assert taken.success, taken


def test_newer_tls_than_the_server_speaks_is_refused(probe: Check, root: Issued) -> None:
    context = issue("leaf", root).context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    observation = probe_context(probe, context, min_tls_version="1.3")
    assert observation.error_message == "The server does not speak TLS 1.3 or newer."


def test_plain_http_is_no_tls(probe: Check) -> None:
    with Server(says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), reads_request=False) as server:
        observation = probe(f"https://127.0.0.1:{server.port}/")
    assert (observation.error_code, observation.error_message) == (
        "tls",
        "The server does not speak TLS on this port.",
    )
