"""What a screen shows of itself: its pixel grid, its border and the flicker of its light."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from statistics import median

import numpy as np
import numpy.typing as npt

from recognition.engine.liveness.findings import Refusal
from recognition.engine.liveness.observation import Measure, Observation, at_most
from recognition.engine.thresholds import PassiveThresholds
from recognition.engine.types import FrameCues

Floats = npt.NDArray[np.float64]


class Screen:
    """Figures over all frames of a visit, so that one bad frame decides nothing.

    Moiré and border do not change from frame to frame, and are not measured in each.
    """

    def __init__(self, limits: PassiveThresholds) -> None:
        self._limits = limits
        self._frames = 0
        self._moire: list[float] = []
        self._borders: list[float] = []
        self._light: deque[tuple[float, Floats]] = deque(maxlen=3)
        self._flicker: list[float] = []

    def add(self, seen: Observation) -> None:
        if seen.cues is None:
            return
        self._frames += 1
        if seen.cues.moire is not None:
            self._moire.append(seen.cues.moire)
        if seen.cues.border_cover is not None:
            self._borders.append(seen.cues.border_cover)
        self._light.append((seen.at_ms, row_light(seen.cues)))
        if len(self._light) == 3 and self._light[2][0] - self._light[0][0] <= self._limits.light_ms:
            self._flicker.append(flicker(*(light for _, light in self._light)))

    def measures(self) -> Iterator[Measure]:
        limits, reason = self._limits, Refusal.SCREEN
        if self._frames < limits.screen_frames:
            return
        yield at_most(limits.max_moire, reason, "moire", median(self._moire or [0.0]))
        yield at_most(limits.max_border, reason, "border", median(self._borders or [0.0]))
        if len(self._flicker) >= limits.flicker_frames:
            yield at_most(limits.max_flicker, reason, "flicker", median(self._flicker))


def row_light(cues: FrameCues) -> Floats:
    """The logarithm of the light of each row of the frame, ``(24,)``."""
    return np.log(np.asarray(cues.thumbnail, np.float64).mean(axis=1) + 1.0)


def flicker(before: Floats, now: Floats, after: Floats) -> float:
    """How far one frame's rows are from the mean of the frames beside it, median of the rows.

    Bands of a display's backlight wander over all rows, and frames that were made anew one by one
    differ in all. What moves in a room moves some rows, and a camera that adapts to the light goes
    on the way it went.
    """
    return float(np.median(np.abs(now - (before + after) / 2)))
