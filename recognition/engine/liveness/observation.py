"""What the passive checks are told of each frame, and what they answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from recognition.engine.liveness.actions import Action
from recognition.engine.liveness.alignment import Placement
from recognition.engine.liveness.findings import Finding, Refusal
from recognition.engine.types import Face, FrameCues


@dataclass(frozen=True, slots=True)
class Observation:
    """One frame of the face that is followed; ``action`` is what it is asked to do just now."""

    at_ms: float
    face: Face
    place: Placement
    cues: FrameCues | None
    action: Action | None
    eyes_closed: bool


@dataclass(frozen=True, slots=True)
class Measure:
    """A check's figure so far, and whether it is beyond the limit.

    ``final`` figures are beyond it for good; the others may still come within.
    """

    reason: Refusal
    check: str
    figure: float
    limit: float
    refused: bool
    final: bool

    def finding(self) -> Finding:
        return Finding(self.reason, self.check, self.figure, self.limit)


def at_most(limit: float, reason: Refusal, check: str, figure: float) -> Measure:
    """A figure that a living person keeps below the limit, or at it."""
    return Measure(reason, check, figure, limit, refused=figure > limit, final=True)


def at_least(limit: float, reason: Refusal, check: str, figure: float) -> Measure:
    """A figure that a living person reaches in the end."""
    return Measure(reason, check, figure, limit, refused=figure < limit, final=False)


class Check(Protocol):
    """Follows one property over all frames of a visit."""

    def add(self, seen: Observation) -> None: ...

    def measures(self) -> Iterator[Measure]:
        """What can be said by now; a figure for which too little was seen is left out."""
        ...
