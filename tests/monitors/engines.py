"""The network as a test wants it, at the one door to it: the engine."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from monitors.probes.types import Observation, Target


class ScriptedEngine:
    """Answers each probe at once with what `answer` says of its target."""

    def __init__(self, answer: Callable[[Target], Observation]) -> None:
        self._answer = answer
        self._done: list[tuple[Hashable, Observation]] = []
        self.asked: list[Target] = []

    @property
    def in_flight(self) -> int:
        return len(self._done)

    def add(self, key: Hashable, target: Target) -> None:
        self.asked.append(target)
        self._done.append((key, self._answer(target)))

    def poll(self, seconds: float) -> list[tuple[Hashable, Observation]]:
        ended, self._done = self._done, []
        return ended

    def close(self) -> None:
        self._done.clear()
