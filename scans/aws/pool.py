"""Many producers in threads, one consumer in the caller's thread, a bounded queue between."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Producer = Callable[[], Iterable[Item]]

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class _Failure:
    error: BaseException


class _End:
    """One thread has left."""


class _Pool(Generic[Item]):
    def __init__(self, producers: Iterable[Producer[Item]], buffer: int) -> None:
        self._producers = iter(producers)
        self._taking = threading.Lock()
        self._left = threading.Event()
        self._out: queue.Queue[Item | _Failure | _End] = queue.Queue(maxsize=buffer)

    def consume(self, threads: int) -> Generator[Item]:
        # Daemons: a worker that stops must not wait for an answer of the network.
        for number in range(threads):
            name = f"scan-{number}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
        try:
            while threads:
                item = self._out.get()
                if isinstance(item, _Failure):
                    raise item.error
                if isinstance(item, _End):
                    threads -= 1
                else:
                    yield item
        finally:
            self._left.set()

    def _work(self) -> None:
        try:
            while (producer := self._next()) is not None:
                for item in producer():
                    if not self._put(item):
                        return
        except BaseException as error:  # noqa: BLE001 raised again in the caller's thread
            self._put(_Failure(error))
        finally:
            self._put(_End())

    def _next(self) -> Producer[Item] | None:
        with self._taking:
            return None if self._left.is_set() else next(self._producers, None)

    def _put(self, item: Item | _Failure | _End) -> bool:
        """`False`: the consumer has left."""
        while not self._left.is_set():
            try:
                self._out.put(item, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False


def stream(
    producers: Iterable[Producer[Item]], *, threads: int, buffer: int = 32
) -> Generator[Item]:
    """What the producers yield, as it comes; at most `buffer` items wait, so memory is bounded.

    A producer's error is raised here. `close()` lets the threads end after their present item.
    """
    return _Pool(producers, buffer).consume(threads)
