"""Medians of calls that take turns, so that a busy moment of the machine hits all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of each call, in the order of the rounds."""

    calls_ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        return statistics.median(self.calls_ms)

    @property
    def p95_ms(self) -> float:
        return sorted(self.calls_ms)[int(0.95 * (len(self.calls_ms) - 1))]


def take_turns(
    contestants: Mapping[str, Callable[[int], object]], *, rounds: int
) -> dict[str, Timing]:
    """Call A, B, C, A, B, C, …; each gets the number of the round. One round first warms up."""
    calls_ms: dict[str, list[float]] = {name: [] for name in contestants}
    for call in contestants.values():
        call(0)
    for number in range(rounds):
        for name, call in contestants.items():
            started = time.perf_counter()
            call(number)
            calls_ms[name].append((time.perf_counter() - started) * 1000)
    return {name: Timing(tuple(values)) for name, values in calls_ms.items()}
