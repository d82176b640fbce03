"""From what libcurl and the callbacks saw to what a person is told."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import pycurl

from monitors.probes.addresses import host_of
from monitors.probes.assertions import Answer, broken_claim
from monitors.probes.certificate import explain, explain_code, report_on, utc_now
from monitors.probes.transfer import Transfer
from monitors.probes.types import MAX_MESSAGE_LENGTH, CertificateReport, Observation

# libcurl gives up on 300 kB of headers by itself; pycurl has no name for it.
_E_TOO_LARGE: Final = 100
NOT_ALLOWED: Final = "This destination is not allowed."
_CHARSET: Final = re.compile(r"charset=[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_STATUS_PART: Final = re.compile(r"([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?|([1-9])xx", re.IGNORECASE)
_NETWORK_ERRORS: Final = {
    errno.ECONNREFUSED: "Nothing listens there: the connection was refused.",
    errno.EHOSTUNREACH: "The host cannot be reached.",
    errno.ENETUNREACH: "The network of the host cannot be reached.",
    errno.ECONNRESET: "The connection was reset.",
}


@lru_cache(maxsize=1024)
def parse_statuses(text: str) -> tuple[range, ...]:
    """Ranges of a text such as `200-299,301` or `2xx`. Raises `ValueError` with a sentence."""
    ranges = []
    for part in text.replace(" ", "").split(","):
        match = _STATUS_PART.fullmatch(part)
        low, high, hundreds = match.groups() if match else (None, None, None)
        first, last = (
            (int(hundreds) * 100, int(hundreds) * 100 + 99)
            if hundreds
            else (int(low or 1), int(high or low or 0))
        )
        if last < first:
            raise ValueError("Expected statuses are written like 200-299,301.")
        ranges.append(range(first, last + 1))
    return tuple(ranges)


def observe_answer(transfer: Transfer) -> Observation:
    """Judge a whole answer."""
    code, message = _judge(transfer)
    return _observation(transfer, code, message)


def observe_connection(transfer: Transfer) -> Observation:
    """A TCP connection was made."""
    return _observation(transfer, "", "")


def observe_failure(transfer: Transfer, code: int, text: str) -> Observation:
    """Say what went wrong before the answer was whole. Coarse where the guard refused."""
    if transfer.refused and not transfer.dialled:
        return Observation(False, "not_allowed", NOT_ALLOWED)
    word, message = _cause(transfer, code, text)
    return _observation(transfer, word, message)


def observe_problem(transfer: Transfer, word: str, message: str) -> Observation:
    """A failure that the engine itself found."""
    return _observation(transfer, word, message)


def report_of(transfer: Transfer, *, verified: bool) -> CertificateReport | None:
    """The certificate of the handshake that just ended."""
    handle = transfer.handle
    pems = [
        value
        for fields in handle.getinfo_raw(pycurl.INFO_CERTINFO)
        for name, value in fields
        if name == b"Cert"
    ]
    result = 0 if verified else handle.getinfo(pycurl.SSL_VERIFYRESULT)
    host = host_of(transfer.url)
    return report_on(pems, host, verified=verified, verify_result=result, now=utc_now())


def _observation(transfer: Transfer, code: str, message: str) -> Observation:
    is_answered = not transfer.target.only_connects
    status = transfer.handle.getinfo(pycurl.RESPONSE_CODE) if is_answered else 0
    return Observation(
        success=not code,
        error_code=code,
        error_message=message[:MAX_MESSAGE_LENGTH],
        status_code=status or None,
        response_time_ms=round(transfer.spent_seconds * 1000),
        phases=transfer.phases,
        certificate=transfer.certificate,
        checked_address=transfer.handle.getinfo(pycurl.PRIMARY_IP) or "",
    )


def _judge(transfer: Transfer) -> tuple[str, str]:
    target = transfer.target
    status = int(transfer.handle.getinfo(pycurl.RESPONSE_CODE))
    if not any(status in each for each in parse_statuses(target.expected_status)):
        return "status", f"The status is {status}, expected {target.expected_status[:100]}."
    if not target.keyword and not target.assertions:
        return "", ""
    headers = _headers_of(transfer.headers)
    body = _decode(b"".join(transfer.chunks), headers.get("content-type", ""))
    if target.keyword and (target.keyword in body) == target.keyword_absent:
        found = "contains" if target.keyword_absent else "does not contain"
        return "keyword", f"The answer {found} the keyword {target.keyword[:200]!r}."
    answer = Answer(
        status, headers, body, transfer.body_bytes, round(transfer.spent_seconds * 1000)
    )
    sentence = broken_claim(target.assertions, answer)
    return ("assertion", sentence) if sentence else ("", "")


def _headers_of(lines: Sequence[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            key, text = name.strip().lower(), value.strip()
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _decode(body: bytes, content_type: str) -> str:
    match = _CHARSET.search(content_type)
    try:
        return body.decode(match[1] if match else "utf-8", errors="replace")
    except (LookupError, ValueError):  # a charset nobody knows, or one that is none of text
        return body.decode("utf-8", errors="replace")


def _cause(transfer: Transfer, code: int, text: str) -> tuple[str, str]:
    if transfer.too_large == "headers" or code == _E_TOO_LARGE:
        kilobytes = transfer.limits.header_bytes // 1024
        return "too_large", f"The headers are larger than {kilobytes} KiB."
    if transfer.too_large == "body":
        size = transfer.limits.body_bytes // 1024
        return "too_large", f"The answer is larger than {size} KiB, more is not read; try HEAD."
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return "timeout", late_message(transfer)
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        return "certificate", _certificate_message(transfer, text)
    if code == pycurl.E_SSL_CONNECT_ERROR:
        return _tls_cause(transfer, text)
    if code in (pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR, pycurl.E_PARTIAL_FILE):
        return _broken(text)
    if code == pycurl.E_COULDNT_CONNECT:
        number = int(transfer.handle.getinfo(pycurl.OS_ERRNO))
        known = _NETWORK_ERRORS.get(number)
        reason = os.strerror(number) if number else "nobody answers"
        return "connect", known or f"No connection: {reason}."
    return _SIMPLE_CAUSES.get(code) or _rare_cause(code, text)


_SIMPLE_CAUSES: Final = {
    pycurl.E_COULDNT_RESOLVE_HOST: ("dns", "The host name is not known."),
    pycurl.E_GOT_NOTHING: ("empty_reply", "The server hung up without an answer."),
    pycurl.E_FTP_WEIRD_SERVER_REPLY: ("not_http", "The answer is not HTTP."),  # not only FTP's
    pycurl.E_URL_MALFORMAT: ("invalid", "The address cannot be read."),
    pycurl.E_BAD_CONTENT_ENCODING: ("not_http", "The answer's compression is broken."),
    pycurl.E_SSL_CACERT_BADFILE: ("internal", "The trusted certificates could not be read."),
    pycurl.E_OUT_OF_MEMORY: ("internal", "Memory ran out during the check."),
}


def _rare_cause(code: int, text: str) -> tuple[str, str]:
    if code == pycurl.E_UNSUPPORTED_PROTOCOL:  # what libcurl says of HTTP/0.9 too
        return "not_http", "The answer is not HTTP."
    if code == pycurl.E_SSL_CIPHER or "SSL" in text or "TLS" in text:
        return "tls", "The TLS handshake failed."
    return "internal", f"The check failed (libcurl error {code})."


def _broken(text: str) -> tuple[str, str]:
    lowered = text.lower()
    if "chunk" in lowered or "header" in lowered or "malformed" in lowered:
        return "not_http", "The answer breaks the rules of HTTP."
    return "reset", "The connection broke before the answer was whole."


def _tls_cause(transfer: Transfer, text: str) -> tuple[str, str]:
    lowered = text.lower()
    if any(sign in lowered for sign in ("unsupported protocol", "protocol version")):
        return "tls", f"The server does not speak TLS {transfer.target.min_tls_version} or newer."
    if any(sign in lowered for sign in ("wrong version", "http request", "packet length")):
        return "tls", "The server does not speak TLS on this port."
    if "reset" in lowered or "syscall" in lowered or "eof" in lowered:
        return "reset", "The connection broke during the TLS handshake."
    reason = text.rpartition(":")[2].strip()[:200]
    return "tls", f"The TLS handshake failed: {reason}." if reason else "The TLS handshake failed."


def _certificate_message(transfer: Transfer, text: str) -> str:
    if transfer.certificate is not None and not transfer.certificate.valid:
        return explain(transfer.certificate, host_of(transfer.url), utc_now())
    return explain_code(int(transfer.handle.getinfo(pycurl.SSL_VERIFYRESULT)), text)


def late_message(transfer: Transfer) -> str:
    """What had not happened when time was up, and within how long."""
    handle, limits = transfer.handle, transfer.limits
    total = transfer.target.timeout_seconds
    connecting = f"{min(total, limits.connect_seconds):g} s"
    if not handle.getinfo(pycurl.NAMELOOKUP_TIME):
        return f"The host name was not found within {connecting}."
    if not handle.getinfo(pycurl.CONNECT_TIME):
        return f"No connection within {connecting}."
    if transfer.speaks_tls and not handle.getinfo(pycurl.APPCONNECT_TIME):
        return f"The TLS handshake was not done within {connecting}."
    if not transfer.has_all_headers:
        return f"No answer headers within {min(total, limits.header_seconds):g} s."
    return f"The answer was not whole within {total:g} s."
