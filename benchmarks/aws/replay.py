"""A server before the simulator that asks it each question once and answers from memory then, each
time after a delay: so a client's own cost shows, not the simulator's.

`python -m benchmarks.aws.replay TARGET_URL DELAY_SECONDS COPIES` prints its port and leaves when
its standard input closes. GET `/_counts`: what it was asked since DELETE `/_counts`.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from benchmarks.aws.copies import LISTINGS, multiplied
from benchmarks.aws.metric_data import metric_data

# Neither date nor signature is part of a question, but whom it is for is.
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/aws4_request")
_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}
_PAGE_TOKENS = {"NextToken", "Marker"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    content: bytes


@dataclass(frozen=True)
class Question:
    service: str
    region: str
    method: str
    path: str
    body: bytes
    target: str  # the operation, of services that speak JSON


class Replay(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, target_url: str, delay: float, copies: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target_url).netloc
        self.delay = delay
        self.copies = copies
        self.known: dict[Question, Answer] = {}
        self.counts = {"calls": 0, "new": 0, "failed": 0}
        self._lock = threading.Lock()

    def count(self, name: str) -> None:
        with self._lock:
            self.counts[name] += 1

    def forget_counts(self) -> None:
        with self._lock:
            self.counts = dict.fromkeys(self.counts, 0)

    def answer(self, question: Question, headers: dict[str, str]) -> Answer:
        self.count("calls")
        if question.target == "GetMetricData":
            kind = ("Content-Type", "application/x-amz-json-1.0")
            return Answer(200, (kind,), metric_data(json.loads(question.body)))
        known = self.known.get(question)
        if known is None:
            self.count("new")
            known = self.known[question] = self._ask(question, headers)
        if known.status >= 400:
            self.count("failed")
        return known

    def _ask(self, question: Question, headers: dict[str, str]) -> Answer:
        asked = dict(parse_qsl(question.body.decode("utf-8", "replace")))
        action = asked.get("Action", "")
        if self.copies == 1 or action not in LISTINGS:
            return self._forward(question, question.body, headers)
        token = next((asked.pop(name) for name in _PAGE_TOKENS if name in asked), "")
        asked_once = self._forward(question, urlencode(asked).encode(), headers)
        page = multiplied(action, asked_once.content.decode(), self.copies, token)
        return Answer(asked_once.status, asked_once.headers, page.encode())

    def _forward(self, question: Question, body: bytes, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection(self.target, timeout=120)
        try:
            connection.request(question.method, question.path, body, headers)
            said = connection.getresponse()
            content = said.read()
        finally:
            connection.close()
        kept = tuple(pair for pair in said.getheaders() if pair[0].lower() not in _HOP_BY_HOP)
        return Answer(said.status, kept, content)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body leave in two writes: 40 ms with Nagle's delay
    wbufsize = 65536
    server: Replay

    def do_POST(self) -> None:
        arrived = time.monotonic()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.server.answer(self._question(body), self._passed_on())
        time.sleep(max(arrived + self.server.delay - time.monotonic(), 0))
        self._send(answer)

    do_PUT = do_HEAD = do_POST

    def do_GET(self) -> None:
        if self.path == "/_counts":
            self._send(Answer(200, (), json.dumps(self.server.counts).encode()))
        else:
            self.do_POST()

    def do_DELETE(self) -> None:
        if self.path == "/_counts":
            self.server.forget_counts()
            self._send(Answer(204, (), b""))
        else:
            self.do_POST()

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def _question(self, body: bytes) -> Question:
        scope = _SCOPE.search(self.headers.get("Authorization", ""))
        region, service = (scope[1], scope[2]) if scope else ("", "")
        target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        return Question(service, region, self.command, self.path, body, target)

    def _passed_on(self) -> dict[str, str]:
        return {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)
        self.wfile.flush()


def main(target_url: str, delay: str, copies: str) -> None:
    server = Replay(target_url, float(delay), int(copies))
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    print(server.server_port, flush=True)
    server.serve_forever()


def _leave_with_parent() -> None:
    """The parent holds the other end of stdin and writes nothing: its end is the parent's end."""
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
