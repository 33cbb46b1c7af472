"""One face, seen without a gap, moving as a head can and staying the same face."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from recognition.engine.liveness.findings import Refusal
from recognition.engine.liveness.observation import Measure, Observation, at_most
from recognition.engine.thresholds import PassiveThresholds
from recognition.engine.types import Image

_ASTRAY_FRAMES = 2


class Continuity:
    """The largest gap, leap and change of the face between frames that follow each other.

    One or two frames in which the landmarks went astray are none: a face that has leapt, or become
    another, is still there in the frame after them.
    """

    def __init__(self, limits: PassiveThresholds) -> None:
        self._limits = limits
        self._last: deque[Observation] = deque(maxlen=_ASTRAY_FRAMES + 1)
        self._gap_ms = 0.0
        self._leap = 0.0
        self._change = 0.0

    def add(self, seen: Observation) -> None:
        if self._last:
            self._gap_ms = max(self._gap_ms, seen.at_ms - self._last[-1].at_ms)
        if len(self._last) == self._last.maxlen:
            before, *between = self._last
            elapsed_ms = between[0].at_ms - before.at_ms
            later = (*between, seen)
            self._leap = max(self._leap, min(self._leap_to(before, s, elapsed_ms) for s in later))
            self._change = max(
                self._change, min(self._change_to(before, s, elapsed_ms) for s in later)
            )
        self._last.append(seen)

    def measures(self) -> Iterator[Measure]:
        limits = self._limits
        yield at_most(limits.max_gap_ms, Refusal.GAP, "gap_ms", self._gap_ms)
        yield at_most(1.0, Refusal.JUMP, "leap", self._leap)
        yield at_most(limits.max_change, Refusal.JUMP, "change", self._change)

    def _leap_to(self, last: Observation, seen: Observation, elapsed_ms: float) -> float:
        """How far the face moved, grew or leant as a share of how far it can in that time."""
        limits, seconds = self._limits, elapsed_ms / 1000
        eye_distance_px = 100 * last.place.px_per_hundredth
        moved = abs(seen.place.origin - last.place.origin) / eye_distance_px
        turned = np.log(seen.place.motion / last.place.motion)
        return float(
            max(
                moved / (limits.least_move + limits.move_per_s * seconds),
                abs(turned.real) / (limits.least_growth + limits.growth_per_s * seconds),
                abs(turned.imag) / (limits.least_lean + limits.lean_per_s * seconds),
            )
        )

    def _change_to(self, last: Observation, seen: Observation, elapsed_ms: float) -> float:
        """How unlike the face became, as if the frames were ``change_ms`` apart at most."""
        if last.cues is None or seen.cues is None:
            return 0.0
        usual_ms = self._limits.change_ms
        return usual_ms / max(elapsed_ms, usual_ms) * change(last.cues.face, seen.cues.face)


def change(before: Image, after: Image) -> float:
    """1 less the correlation of two pictures of one size, uint8: 0 for alike, whatever the light.

    A picture without any contrast is like no other one: 1.0.
    """
    first, second = (np.asarray(image, np.float32) - np.mean(image) for image in (before, after))
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return 1.0 - float(np.vdot(first, second)) / lengths if lengths > 0 else 1.0
