"""A proxy before the AWS simulator that answers as AWS does when something is wrong.

In this process: `proxy.deny("DescribeInstances", region="eu-west-1")`. From another process: POST
the fault as JSON to `/_faults`, DELETE `/_faults` to mend everything, GET `/_calls` for what came.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

from tests.ports import free_port

_SCOPE = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}

THROTTLING = {"ec2": "RequestLimitExceeded", "s3": "SlowDown"}  # elsewhere: Throttling
DENYING = {"ec2": "UnauthorizedOperation", "monitoring": "AccessDeniedException"}
JSON_SERVICES = frozenset({"monitoring", "ce", "pricing"})
# Both generations of load balancers sign alike and name their calls alike.
GENERATIONS = {"2012-06-01": "elb", "2015-12-01": "elbv2"}
# What S3 is asked, by the first word of the query string.
S3_ACTIONS = {
    "lifecycle": "GetBucketLifecycleConfiguration",
    "uploads": "ListMultipartUploads",
    "tagging": "GetBucketTagging",
    "location": "GetBucketLocation",
}
STATUS = {
    "UnauthorizedOperation": 403,
    "AccessDenied": 403,
    "AuthFailure": 401,
    "InvalidClientTokenId": 403,
    "SignatureDoesNotMatch": 403,
    "ExpiredToken": 403,
    "RequestLimitExceeded": 503,
    "Throttling": 400,
    "OptInRequired": 403,
    "SlowDown": 503,
    "InternalError": 500,
}
NOT_TRUSTED = "User is not authorized to perform: sts:AssumeRole on this resource"
MESSAGES = {
    "UnauthorizedOperation": "You are not authorized to perform this operation.",
    "AuthFailure": "AWS was not able to validate the provided access credentials",
    "InvalidClientTokenId": "The security token included in the request is invalid.",
    "ExpiredToken": "The security token included in the request is expired",
    "RequestLimitExceeded": "Request limit exceeded.",
    "Throttling": "Rate exceeded",
}


@dataclass
class Fault:
    """What goes wrong with the calls it fits, `times` times (`None`: until mended).

    An empty `code` lets the call through after `seconds`; `hangs` never answers it; `cuts` ends
    the answer in the middle and hangs up; `garbles` ends it in the middle as if that were all.
    """

    code: str = ""
    message: str = ""
    service: str = ""
    action: str = ""
    region: str = ""
    times: int | None = None
    seconds: float = 0.0
    hangs: bool = False
    cuts: bool = False
    garbles: bool = False
    answer: str = ""  # JSON, in place of what the simulator does not know

    @property
    def breaks(self) -> bool:
        return bool(self.code or self.answer) or self.hangs or self.cuts or self.garbles

    def fits(self, call: Call) -> bool:
        wanted = ((self.service, call.service), (self.action, call.action))
        return all(want in ("", is_) for want, is_ in (*wanted, (self.region, call.region)))


@dataclass(frozen=True)
class Call:
    """One request, as its signature and body name it."""

    service: str
    action: str
    region: str
    at: float
    parameters: dict[str, str] = field(default_factory=dict)  # of a query-style body
    text: str = ""  # of a JSON body


@dataclass(frozen=True)
class Answer:
    """What the simulator said."""

    status: int
    content: bytes
    headers: dict[str, str]


class FaultProxy:
    """Runs in threads of this process until `stop()`.

    One that `remembers` answers what it was asked before by itself: many scans of one estate are
    then quick, and whatever changes behind it stays unseen.
    """

    def __init__(self, target_url: str, *, remembers: bool = False) -> None:
        self.remembers = remembers
        self.remembered: dict[tuple[object, ...], Answer] = {}
        self.target = urlsplit(target_url).netloc
        self.calls: list[Call] = []
        self._faults: list[Fault] = []
        self._external_ids: dict[str, str] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._server = _Server(("127.0.0.1", free_port()), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def mend(self) -> None:
        """Nothing is wrong any more."""
        with self._lock:
            self._faults.clear()

    def deny(self, action: str = "", *, region: str = "", service: str = "ec2") -> None:
        code = DENYING.get(service, "AccessDenied")
        self.add(Fault(code=code, action=action, region=region, service=service))

    def refuse_credentials(self) -> None:
        """As STS and EC2 refuse a key that was deleted."""
        self.add(Fault(code="AuthFailure", service="ec2"))
        self.add(Fault(code="InvalidClientTokenId"))

    def answer(self, action: str, *bodies: Mapping[str, Any]) -> None:
        """Answer so, one body a call in their order, the last for ever."""
        for number, body in enumerate(bodies, start=1):
            times = 1 if number < len(bodies) else None
            self.add(Fault(answer=json.dumps(body), action=action, times=times))

    def throttle(self, times: int | None, *, action: str = "", region: str = "") -> None:
        self.add(
            Fault(code=THROTTLING["ec2"], service="ec2", action=action, region=region, times=times)
        )

    def trust(self, role_arn: str, external_id: str) -> None:
        """From now on the role is assumed with this external id only, as its trust policy would
        have it: the simulator itself lets everybody in."""
        with self._lock:
            self._external_ids[role_arn] = external_id

    def _is_wrong_external_id(self, call: Call) -> bool:
        wanted = self._external_ids.get(call.parameters.get("RoleArn", ""))
        return wanted is not None and call.parameters.get("ExternalId") != wanted

    def delay(self, seconds: float, *, action: str = "", region: str = "") -> None:
        self.add(Fault(seconds=seconds, action=action, region=region))

    def hang(self, action: str = "", *, region: str = "") -> None:
        self.add(Fault(hangs=True, action=action, region=region))

    def counts(self) -> Counter[tuple[str, str]]:
        """How often each (action, region) was called."""
        with self._lock:
            return Counter((call.action, call.region) for call in self.calls)

    def forget_calls(self) -> None:
        with self._lock:
            self.calls.clear()

    def note(self, call: Call) -> tuple[Fault | None, float]:
        """Write the call down; the error it meets, and how long it takes."""
        with self._lock:
            self.calls.append(call)
            fitting = [fault for fault in self._faults if fault.fits(call) and fault.times != 0]
            seconds = sum(fault.seconds for fault in fitting)
            broken = next((fault for fault in fitting if fault.breaks), None)
            if broken is None and self._is_wrong_external_id(call):
                return Fault(code="AccessDenied", message=NOT_TRUSTED), seconds
            if broken is not None and broken.times is not None:
                broken.times -= 1
        return broken, seconds

    def wait(self, seconds: float | None) -> None:
        """As long as that, but never longer than the proxy lives."""
        self._stopped.wait(seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    proxy: FaultProxy


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body leave in two writes: with Nagle's delay each answer would take 40 ms.
    disable_nagle_algorithm = True
    server: _Server
    _no_body: ClassVar[frozenset[int]] = frozenset({204, 304})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/_faults":
            self.server.proxy.add(Fault(**json.loads(body)))
            self._answer(204, b"")
            return
        call = self._call(body)
        fault, seconds = self.server.proxy.note(call)
        if seconds:
            self.server.proxy.wait(seconds)
        if fault is None or fault.cuts or fault.garbles:
            self._forward(call, body, fault)
        elif fault.hangs:
            self.server.proxy.wait(None)
            self.close_connection = True
        elif fault.answer:
            kind = "application/x-amz-json-1.1"
            self._answer(200, fault.answer.encode(), {"Content-Type": kind})
        else:
            status, text = error_body(call.service, fault.code, fault.message)
            kind = "application/x-amz-json-1.0" if call.service in JSON_SERVICES else "text/xml"
            self._answer(status, text, {"Content-Type": kind})

    do_PUT = do_POST

    def do_GET(self) -> None:
        if self.path == "/_calls":
            calls = [asdict(call) for call in list(self.server.proxy.calls)]
            self._answer(200, json.dumps(calls).encode(), {"Content-Type": "application/json"})
        else:
            self.do_POST()

    def do_DELETE(self) -> None:
        if self.path == "/_faults":
            self.server.proxy.mend()
            self._answer(204, b"")
        else:
            self.do_POST()

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def _call(self, body: bytes) -> Call:
        scope = _SCOPE.search(self.headers.get("Authorization", ""))
        region, service = (scope[2], scope[3]) if scope else ("", "")
        parameters = dict(parse_qsl(body.decode("utf-8", "replace")))
        target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        action = parameters.get("Action", target)
        if service == "elasticloadbalancing":
            service = GENERATIONS.get(parameters.get("Version", ""), service)
        if service == "s3":
            action = self._s3_action()
        text = body.decode() if service in JSON_SERVICES else ""
        return Call(service, action, region, time.monotonic(), parameters, text)

    def _s3_action(self) -> str:
        address = urlsplit(self.path)
        if self.command != "GET":
            return self.command
        if address.path == "/":
            return "ListBuckets"
        words = [word.partition("=")[0] for word in address.query.split("&")]
        return next((S3_ACTIONS[word] for word in words if word in S3_ACTIONS), "GetObject")

    def _forward(self, call: Call, body: bytes, fault: Fault | None = None) -> None:
        answer = self._asked(call, body)
        content = answer.content
        if fault is not None and fault.cuts:
            self._answer(answer.status, content, answer.headers, sent=len(content) // 2)
            self.close_connection = True
        elif fault is not None:
            self._answer(answer.status, content[: len(content) // 2], answer.headers)
        else:
            self._answer(answer.status, content, answer.headers)

    def _asked(self, call: Call, body: bytes) -> Answer:
        proxy = self.server.proxy
        question = (call.service, call.region, self.command, self.path, body)
        if (known := proxy.remembered.get(question)) is not None:
            return known
        connection = http.client.HTTPConnection(proxy.target, timeout=60)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
            connection.request(self.command, self.path, body, headers)
            said = connection.getresponse()
            content = said.read()
        finally:
            connection.close()
        kept = {k: v for k, v in said.getheaders() if k.lower() not in _HOP_BY_HOP}
        answer = Answer(said.status, content, kept)
        if proxy.remembers:
            proxy.remembered[question] = answer
        return answer

    def _answer(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str] | None = None,
        sent: int | None = None,
    ) -> None:
        """`sent`: only so many bytes of what the head promises."""
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status not in self._no_body:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:sent])


def error_body(service: str, code: str, message: str = "") -> tuple[int, bytes]:
    """An error as EC2 writes it, as S3 does, as JSON, or as STS and the other query services."""
    message = message or MESSAGES.get(code, "Simulated.")
    if service in JSON_SERVICES:
        text = json.dumps({"__type": code, "message": message})
        return STATUS.get(code, 400), text.encode()
    error = f"<Code>{code}</Code><Message>{message}</Message>"
    if service == "ec2":
        text = (
            f"<Response><Errors><Error>{error}</Error></Errors>"
            "<RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>"
        )
    elif service == "s3":
        text = f"<Error>{error}<RequestId>0</RequestId></Error>"
    else:
        text = (
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            f"<Error><Type>Sender</Type>{error}</Error>"
            "<RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
        )
    return STATUS.get(code, 400), f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
