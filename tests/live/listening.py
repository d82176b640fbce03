"""One open stream, read by a thread as a browser's EventSource would."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import requests

from hostmaster.core.tenants.models import ApiToken
from tests.factories import bearer


@dataclass(frozen=True)
class Heard:
    pk: int
    topic: str
    data: dict[str, Any]
    at: float  # monotonic


class Stream:
    """`with Stream(url, token) as stream`: it is open, and what it tells is in `heard`."""

    def __init__(self, url: str, token: ApiToken, *, last: int | None = None, topics: str = ""):
        headers = dict(bearer(token))
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        self.heard: list[Heard] = []
        self.has_ended = threading.Event()
        self._answer = requests.get(
            f"{url}/api/v1/stream",
            {"topics": topics},
            headers=headers,
            stream=True,
            timeout=(5, 30),
        )
        self._answer.raise_for_status()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Stream:
        self._reader.start()
        return self

    def __exit__(self, *args: object) -> None:
        # Closing alone would wait for the reader, and the reader for the next ping.
        with suppress(RuntimeError, ValueError):  # the server ended it
            self._answer.raw.shutdown()
        self._reader.join(30)
        self._answer.close()

    def wait_for(self, count: int, seconds: float = 60) -> list[Heard]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if len(self.heard) >= count:
                return self.heard
            time.sleep(0.01)
        raise AssertionError(f"{count} events expected, heard {self.heard}")

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for line in self._answer.iter_lines(chunk_size=1, decode_unicode=True):
                name, _, value = line.partition(": ")
                if line:
                    fields[name] = value
                    continue
                if "data" in fields:
                    self._note(fields)
                fields = {}
        except (requests.RequestException, AttributeError, ValueError):
            pass  # closed under its reader
        self.has_ended.set()

    def _note(self, fields: dict[str, str]) -> None:
        pk = int(fields.get("id", 0))
        data = json.loads(fields["data"])
        self.heard.append(Heard(pk, fields["event"], data, time.monotonic()))
