"""One hub a web process: reads new events once, hands them to every open stream.

A thread of its own waits for PostgreSQL's NOTIFY, or looks every `LIVE_POLL_SECONDS`, and only
while a stream is open. Streams live in the server's event loop and never touch the database.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from hostmaster.core.live.services import CHANNEL
from hostmaster.core.live.window import Told, Window

logger = logging.getLogger(__name__)

STREAM_QUEUE = 100  # events a slow page may lag behind before it must load anew
READY_SECONDS = 5.0  # a stream opens after that all the same; the database may be down
LINGER_SECONDS = 5.0  # without a stream
PAUSE_SECONDS = 1.0  # after an error of the database


@dataclass(eq=False)
class Subscriber:
    """One open stream."""

    tenant_id: UUID
    actor: str
    topics: frozenset[str]  # empty: all
    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[Told] = field(default_factory=lambda: asyncio.Queue(STREAM_QUEUE))
    has_missed: bool = False  # its queue was full

    def wants(self, event: Told) -> bool:
        return event.tenant_id == self.tenant_id and (not self.topics or event.topic in self.topics)

    def offer(self, events: list[Told]) -> None:
        """In its event loop."""
        for event in events:
            try:
                self.queue.put_nowait(event)
            except asyncio.QueueFull:
                self.has_missed = True
                return


class TooManyStreamsError(Exception):
    """This user or token has too many streams open."""


class Hub:
    """The open streams of this process, and the thread that feeds them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribers: set[Subscriber] = set()
        self._thread: threading.Thread | None = None
        self._is_ready = threading.Event()

    def join(self, subscriber: Subscriber, *, at_most: int) -> None:
        """From its return on nothing is missed. In a thread: the first one waits for the reader.

        Raises `TooManyStreamsError` when its actor has `at_most` streams open already.
        """
        with self._lock:
            same = [s for s in self._subscribers if _owner(s) == _owner(subscriber)]
            if len(same) >= at_most:
                raise TooManyStreamsError(str(TooManyStreamsError.__doc__))
            self._subscribers.add(subscriber)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="live-hub", daemon=True)
                self._thread.start()
        self._is_ready.wait(READY_SECONDS)

    def leave(self, subscriber: Subscriber) -> None:
        with self._lock:
            self._subscribers.discard(subscriber)

    def __len__(self) -> int:
        return len(self._subscribers)

    def _run(self) -> None:
        reader = _Reader()
        last_needed = time.monotonic()
        try:
            while True:
                if self._subscribers:
                    last_needed = time.monotonic()
                elif time.monotonic() - last_needed > LINGER_SECONDS and self._retire():
                    return
                self._hand_out(reader.wait_and_read())
                if reader.is_primed:
                    self._is_ready.set()
        finally:
            reader.close()

    def _retire(self) -> bool:
        """Under the lock, so that no stream joins a thread that is about to end."""
        with self._lock:
            if self._subscribers:
                return False
            self._thread = None
            self._is_ready.clear()
            return True

    def _hand_out(self, events: list[Told]) -> None:
        if not events:
            return
        with self._lock:
            subscribers = list(self._subscribers)
        for subscriber in subscribers:
            wanted = [event for event in events if subscriber.wants(event)]
            if wanted:
                _call_soon(subscriber, wanted)


def _owner(subscriber: Subscriber) -> tuple[UUID, str]:
    return subscriber.tenant_id, subscriber.actor


def _call_soon(subscriber: Subscriber, events: list[Told]) -> None:
    try:
        subscriber.loop.call_soon_threadsafe(subscriber.offer, events)
    except RuntimeError:  # its loop is closed: the server ends
        logger.debug("A stream ended with its server")


class _Reader:
    """Waits for events and reads them, each once."""

    def __init__(self) -> None:
        self._listener: psycopg.Connection[Any] | None = None
        self._window = Window()

    def wait_and_read(self) -> list[Told]:
        """New events, after waiting for some; none after an error, which is logged."""
        try:
            self._listen()  # before looking, so that nothing falls between the look and the wait
            if not self._window.is_primed:
                self._window.read()  # what was before the first stream is no news
                return []
            self._wait()
            return self._window.read()
        except (DatabaseError, psycopg.Error) as error:
            logger.warning("Live events cannot be read: %s", type(error).__name__)
            self.close()
            time.sleep(PAUSE_SECONDS)
            return []

    @property
    def is_primed(self) -> bool:
        return self._window.is_primed

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        connection.close()

    def _listen(self) -> None:
        if connection.vendor != "postgresql" or self._listener is not None:
            return
        parameters = connection.get_connection_params()
        for ours in ("cursor_factory", "context", "prepare_threshold"):
            parameters.pop(ours, None)
        self._listener = psycopg.connect(**parameters, autocommit=True)
        self._listener.execute(f'LISTEN "{CHANNEL}"')

    def _wait(self) -> None:
        if self._listener is None:
            time.sleep(settings.LIVE_POLL_SECONDS)
            return
        for _ in self._listener.notifies(timeout=settings.LIVE_POLL_SECONDS, stop_after=1):
            pass


hub = Hub()
