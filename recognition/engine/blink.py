"""Blinks from the eye aspect ratio (EAR), by timestamps, at 5 to 30 frames a second."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median

import numpy as np

from recognition.engine.thresholds import BlinkThresholds
from recognition.engine.types import Face, Points

#: The nose (27 to 35) and the corners of the eyes: bone below, still while the lids move.
UPPER_FACE = [*range(27, 36), 36, 39, 42, 45]

#: From the median absolute deviation to the standard deviation of a normal distribution.
MAD_TO_DEVIATION = 1.4826


@dataclass(frozen=True, slots=True)
class Blink:
    """One closing and opening of both eyes. Times are in milliseconds of the caller's clock.

    Frames are samples: the lids were down for at least ``closed_ms``, from the first to the last
    closed frame, and at most ``spanned_ms``, between the open frames around them. ``depth`` is
    the lowest EAR as a share of the ``baseline``, the open eyes' EAR.
    """

    open_until_ms: float
    closed_from_ms: float
    closed_until_ms: float
    open_from_ms: float
    depth: float
    baseline: float

    @property
    def closed_ms(self) -> float:
        return self.closed_until_ms - self.closed_from_ms

    @property
    def spanned_ms(self) -> float:
        return self.open_from_ms - self.open_until_ms


@dataclass(frozen=True, slots=True)
class _Sample:
    at_ms: float
    ear_left: float
    ear_right: float
    landmarks: Points

    @property
    def ear(self) -> float:
        return (self.ear_left + self.ear_right) / 2


@dataclass(frozen=True, slots=True)
class _OpenEyes:
    """What is normal for this face: each eye's EAR, their mean, and how much the mean varies."""

    left: float
    right: float
    mean: float
    deviation: float


@dataclass(slots=True)
class _Closure:
    last_open: _Sample
    closed_from_ms: float
    closed_until_ms: float
    depth: float
    still: bool


class BlinkTracker:
    """Follows one face. Feed it every frame in order; it answers when a blink is complete.

    The open eyes are learned from this face over the last seconds: their EAR and its noise. A
    fall of the EAR that comes with a change of brow, nose and eye corners is a tilt or a turn,
    not a blink.
    """

    def __init__(self, thresholds: BlinkThresholds | None = None) -> None:
        self._thresholds = thresholds or BlinkThresholds()
        self._samples: deque[_Sample] = deque()
        self._open_eyes = _OpenEyes(0.0, 0.0, 0.0, 0.0)
        self._last_open: _Sample | None = None
        self._closure: _Closure | None = None

    @property
    def learned(self) -> bool:
        """Whether the face has been seen for long enough to know its open eyes."""
        return (
            len(self._samples) >= self._thresholds.learn_frames
            and self._samples[-1].at_ms - self._samples[0].at_ms >= self._thresholds.learn_ms
        )

    @property
    def baseline(self) -> float:
        """The EAR of the open eyes, mean of both; 0 before any frame."""
        return self._open_eyes.mean

    @property
    def closed_below(self) -> float:
        """The mean EAR under which the eyes count as closed; 0 until the open eyes are known."""
        if not self.learned:
            return 0.0
        limits, usual = self._thresholds, self._open_eyes
        noise = limits.noise_factor * max(usual.deviation, limits.least_deviation)
        return max(0.0, min(usual.mean * limits.closed_ratio, usual.mean - noise))

    @property
    def unsteady(self) -> bool:
        """Whether the open eyes' EAR jumps about: landmarks that take glasses for lids, mostly."""
        usual = self._open_eyes
        return self.learned and usual.deviation > self._thresholds.unsteady_share * usual.mean

    @property
    def eyes_closed(self) -> bool:
        return self._closure is not None

    def add(self, face: Face, at_ms: float) -> Blink | None:
        """Take the next frame's face; returns the blink that this frame completes."""
        sample = _Sample(at_ms, face.ear_left, face.ear_right, face.landmarks)
        self._samples.append(sample)
        while at_ms - self._samples[0].at_ms > self._thresholds.window_ms:
            self._samples.popleft()
        self._open_eyes = self._learn()
        if not self.learned:
            return None

        ratios = (
            sample.ear_left / self._open_eyes.left,
            sample.ear_right / self._open_eyes.right,
        )
        if max(ratios) < self._thresholds.closed_ratio and sample.ear < self.closed_below:
            self._close(sample)
            return None
        if min(ratios) > self._thresholds.open_ratio:
            return self._open(sample)
        return None

    def _learn(self) -> _OpenEyes:
        ears = [sample.ear for sample in self._samples]
        middle = median(ears)
        return _OpenEyes(
            left=max(self._usual([sample.ear_left for sample in self._samples]), 1e-6),
            right=max(self._usual([sample.ear_right for sample in self._samples]), 1e-6),
            mean=self._usual(ears),
            deviation=median([abs(ear - middle) for ear in ears]) * MAD_TO_DEVIATION,
        )

    def _usual(self, ears: list[float]) -> float:
        """The baseline's percentile, linear between two values: NumPy's takes ten times as long."""
        ears = sorted(ears)
        place = self._thresholds.baseline_percentile / 100 * (len(ears) - 1)
        below = int(place)
        above = min(below + 1, len(ears) - 1)
        return ears[below] + (place - below) * (ears[above] - ears[below])

    def _close(self, sample: _Sample) -> None:
        if self._last_open is None:
            return
        if self._closure is None:
            self._closure = _Closure(self._last_open, sample.at_ms, sample.at_ms, 1.0, True)
        closure = self._closure
        change = upper_face_change(closure.last_open.landmarks, sample.landmarks)
        closure.still = closure.still and change <= self._thresholds.max_face_change
        closure.depth = min(closure.depth, sample.ear / self._open_eyes.mean)
        closure.closed_until_ms = sample.at_ms

    def _open(self, sample: _Sample) -> Blink | None:
        closure, self._closure, self._last_open = self._closure, None, sample
        if closure is None or not closure.still:
            return None
        blink = Blink(
            open_until_ms=closure.last_open.at_ms,
            closed_from_ms=closure.closed_from_ms,
            closed_until_ms=closure.closed_until_ms,
            open_from_ms=sample.at_ms,
            depth=closure.depth,
            baseline=self._open_eyes.mean,
        )
        return blink if self._plausible(blink) else None

    def _plausible(self, blink: Blink) -> bool:
        """Whether lids move like this; between two frames nobody knows, so that is forgiven."""
        limits = self._thresholds
        times_ms = [s.at_ms for s in self._samples if s.at_ms >= blink.open_until_ms]
        longest_gap_ms = float(np.max(np.diff(times_ms)))
        return (
            blink.depth <= limits.deepest_ratio
            and blink.spanned_ms >= limits.min_ms
            and blink.closed_ms <= limits.max_ms
            and blink.spanned_ms - blink.closed_ms <= limits.max_lids_ms + 2 * longest_gap_ms
        )


def upper_face_change(before: Points, after: Points) -> float:
    """How much the nose and the eye corners changed their shape between two frames.

    The second frame's points are moved, turned and scaled onto the first's as well as possible
    (Procrustes); what remains, as the root mean square over the distance between the eyes, is 0
    for a head that stays as it is, however it is shifted. ``(68, 2)`` each.
    """
    first, second = (points[UPPER_FACE] @ np.array([1, 1j]) for points in (before, after))
    eyes = abs((first[9] + first[10] - first[11] - first[12]) / 2)
    first, second = first - first.mean(), second - second.mean()
    motion = np.vdot(second, first) / max(np.vdot(second, second).real, 1e-6)
    return float(np.sqrt(np.mean(np.abs(first - motion * second) ** 2)) / max(eyes, 1e-6))
