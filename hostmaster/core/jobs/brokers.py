"""django-q2's ORM broker, mended for callers, and for PostgreSQL woken by NOTIFY."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import psycopg
from django.db import close_old_connections, connection, transaction
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ

# An array is filled once. `IN (SELECT …)` may become a loop that selects again, past the limit.
TAKE = """
    UPDATE django_q_ormq SET lock = %(locked_until)s WHERE id = ANY(ARRAY(
        SELECT id FROM django_q_ormq WHERE key = %(key)s AND lock <= %(now)s
        ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )) RETURNING id, payload
"""


class RowBroker(ORM):  # type: ignore[misc] # django-q2 has no types
    """The stock broker closes the caller's connection at each message when CONN_MAX_AGE is 0,
    under open cursors too. Here only the pusher, a loop of its own, looks for stale ones."""

    @staticmethod
    def get_connection(list_key: str | None = None) -> Any:
        return OrmQ.objects.using(Conf.ORM)

    def dequeue(self) -> list[tuple[int, str]] | None:
        close_old_connections()
        return self.take()

    def take(self) -> list[tuple[int, str]] | None:
        """Some waiting messages, for a caller in whose thread no pusher loops."""
        taken: list[tuple[int, str]] | None = super().dequeue()
        return taken


class NotifyBroker(RowBroker):
    """PostgreSQL: at least once, first in first out, one round trip a take.

    Stock polling costs 20 queries a second a lane for a median start of 30 ms; listening costs one
    and starts a job within a few milliseconds. A lost notification costs one poll.
    """

    _listener: psycopg.Connection[Any] | None = None

    def enqueue(self, task: str) -> Any:
        with transaction.atomic():  # one commit for the row and its notification
            pk = super().enqueue(task)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_notify(%s, '')", [self._channel])
        return pk

    def dequeue(self) -> list[tuple[int, str]] | None:
        close_old_connections()
        self._listen()  # before looking, so nothing falls between the look and the wait
        taken = self.take()
        if not taken:
            self._wait()
            taken = self.take()
        return taken

    @property
    def _channel(self) -> str:
        return f"hostmaster_{self.list_key}"

    def take(self) -> list[tuple[int, str]] | None:
        now = timezone.now()
        values = {
            "key": self.list_key,
            "now": now,
            "locked_until": now + timedelta(seconds=Conf.RETRY),
            "limit": Conf.BULK,
        }
        with connection.cursor() as cursor:
            cursor.execute(TAKE, values)
            return [(pk, payload) for pk, payload in cursor.fetchall()] or None

    def _listen(self) -> None:
        if self._listener is not None and not self._listener.closed:
            return
        parameters = connection.get_connection_params()
        for ours in ("cursor_factory", "context", "prepare_threshold"):
            parameters.pop(ours, None)
        self._listener = psycopg.connect(**parameters, autocommit=True)
        self._listener.execute(f'LISTEN "{self._channel}"')

    def _wait(self) -> None:
        if self._listener is None:
            return
        try:
            for _ in self._listener.notifies(timeout=Conf.POLL, stop_after=1):
                return
        except psycopg.OperationalError:
            self._listener.close()
            time.sleep(Conf.POLL)
