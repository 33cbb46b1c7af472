"""Frames that a camera does not give: shown again, stopped, in a loop, out of order, spliced."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.engine.liveness.findings import Refusal
from recognition.engine.liveness.observation import (
    Measure,
    Observation,
    at_least,
    at_most,
)
from recognition.engine.thresholds import PassiveThresholds
from recognition.engine.types import Image

Floats = npt.NDArray[np.float32]

_MEAN_LIGHT = 128.0
#: Columns of a thumbnail at either edge: what is there is behind the person.
_EDGE_COLUMNS = 4
_FEW_FRAMES = 3
#: A stopped stream shows its last frame at least so often again.
_LEAST_REPEATED = 2


@dataclass(frozen=True, slots=True)
class _Shown:
    at_ms: float
    digest: int
    thumbnail: Floats


@dataclass(frozen=True, slots=True)
class _Step:
    """From one frame to the next: by how many grey levels it changed, and how long it took."""

    size: float
    took_ms: float


class Repetition:
    """Compares each frame with all earlier ones of the visit.

    A camera that is slower than the page shows a frame again for a moment, evenly, and never one
    from before the last. A living person is nearer to the frame before than to any frame of long
    ago, and does not go the same way again frame by frame, forwards or backwards; whoever moves is
    nearer to the frame before than to the one before that, and gains and loses speed.

    Which way frames go is told only where the camera stands still: in a hand that trembles they
    go to and fro.

    Order is judged where frames come close to each other. Whoever turns the head and comes back
    between two frames is nearer to where they began than to where they went, as shuffled frames
    are. A visit in which most of the time passed in larger steps is told by ``in_order``: it was
    not seen to be in order, and more has to be shown.
    """

    def __init__(self, limits: PassiveThresholds) -> None:
        self._limits = limits
        self._seen: deque[_Shown] = deque(maxlen=limits.remembered_frames)
        self._last_digest: int | None = None
        self._pace = _Pace(limits.pace_frames)
        self._retracing = _Retracing()
        self._repeats = 0
        self._steps: list[_Step] = []
        self._edge_steps: list[float] = []
        self._nearest: list[tuple[float, float]] = []
        self._backwards: list[bool] = []
        self._jerks = 0

    def add(self, seen: Observation) -> None:
        if seen.cues is None:
            return
        same, self._last_digest = seen.cues.digest == self._last_digest, seen.cues.digest
        self._pace.add(seen.at_ms, repeated=same)
        if same:
            return
        shown = _Shown(seen.at_ms, seen.cues.digest, evenly_lit(seen.cues.thumbnail))
        self._repeats += any(earlier.digest == shown.digest for earlier in self._seen)
        if self._seen:
            if shown.at_ms - self._seen[-1].at_ms < self._limits.least_apart_ms:
                return
            self._compare(shown)
        self._seen.append(shown)

    def measures(self) -> Iterator[Measure]:
        limits, repeated = self._limits, Refusal.REPEATED_FRAMES
        stands_still = len(self._steps) >= limits.least_steps and self._stands_still()
        yield at_most(limits.max_stopped_ms, repeated, "stopped_ms", self._pace.stopped_ms)
        yield at_most(limits.max_uneven, repeated, "uneven", self._pace.uneven)
        yield at_most(limits.max_repeats, repeated, "repeats", self._repeats)
        yield at_most(self._most_retraced_ms(), repeated, "retraced_ms", self._retracing.longest_ms)
        yield at_most(limits.max_jerks, repeated, "jerks", self._jerks)
        if len(self._steps) >= limits.least_steps:
            # The fewer frames a second, the more of a movement lies in a single step.
            frame_ms = self._frame_ms(self._seen[-1].at_ms)
            slower = math.sqrt(max(1.0, frame_ms / limits.usual_frame_ms))
            seam, splice, cuts = seams(self._steps)
            yield at_most(slower * limits.max_seam, Refusal.JUMP, "seam", seam)
            yield at_most(slower * limits.max_splice, Refusal.JUMP, "splice", splice)
            if stands_still:
                yield at_most(slower * limits.max_cuts, Refusal.JUMP, "cuts", cuts)
        if len(self._nearest) >= limits.least_steps:
            yield at_most(limits.max_again, repeated, "again", self._again())
        if len(self._backwards) >= limits.least_steps and stands_still:
            backwards = self._out_of_order()
            yield at_most(limits.max_backwards, Refusal.OUT_OF_ORDER, "backwards", backwards)
        if self._steps and len(self._backwards) < limits.least_steps:
            yield at_least(limits.least_in_order, Refusal.TOO_SLOW, "in_order", self._in_order())

    def _compare(self, shown: _Shown) -> None:
        limits = self._limits
        earlier = np.stack([one.thumbnail for one in self._seen])
        away = np.mean(np.abs(earlier - shown.thumbnail), axis=(1, 2))
        step = float(away[-1])
        self._steps.append(_Step(step, shown.at_ms - self._seen[-1].at_ms))
        change = np.abs(earlier[-1] - shown.thumbnail)
        edges = change[:, [*range(_EDGE_COLUMNS), *range(-_EDGE_COLUMNS, 0)]]
        self._edge_steps.append(float(edges.mean()))
        if all(one.took_ms <= limits.order_ms for one in self._steps[-2:]) and len(away) >= 2:
            self._backwards.append(bool(away[-2] < limits.backwards_share * step))
            self._jerks += unevenness(*self._steps[-2:]) > limits.jerk
        # What is only a few frames ago is no old movement, however rarely frames come.
        long_ago = list(self._seen)[:-_FEW_FRAMES]
        old = [i for i, one in enumerate(long_ago) if shown.at_ms - one.at_ms >= limits.loop_ms]
        if not old:
            return
        nearest = int(np.argmin(away[: len(old)]))
        if self._steps[-1].took_ms <= limits.again_ms:
            self._nearest.append((float(away[nearest]), step))
        near = away[nearest] < step and self._steps[-1].took_ms <= limits.order_ms
        match = self._seen[nearest].at_ms if near else None
        self._retracing.add(shown.at_ms, match, tolerance_ms=1.3 * self._frame_ms(shown.at_ms))

    def _again(self) -> float:
        """The share of frames that are an old one but for the noise, less what chance makes.

        The two frames of a visit that are most alike differ by what the noise makes, or by more
        where so few came that somebody has moved in each of them.
        """
        away, step = np.array(self._nearest).T
        smallest = min(one.size for one in self._steps)
        noise = min(float(away.min()), smallest, self._limits.most_noise)
        alike = (away < self._limits.noise_factor * noise) & (
            away < self._limits.again_share * step
        )
        return max(0, int(alike.sum()) - self._limits.again_by_chance) / len(alike)

    def _out_of_order(self) -> float:
        """The share of frames that go back on the last, less those in which a movement turns."""
        turns = self._limits.backwards_by_turning
        return max(0, sum(self._backwards) - turns) / len(self._backwards)

    def _in_order(self) -> float:
        """The share of the time that passed in steps small enough to tell the order."""
        took_ms = [one.took_ms for one in self._steps]
        return sum(one for one in took_ms if one <= self._limits.order_ms) / sum(took_ms)

    def _most_retraced_ms(self) -> float:
        """Where frames come rarely, chance makes runs of as many frames, which last longer."""
        if not self._steps:
            return self._limits.max_retraced_ms
        by_chance_ms = self._limits.retraced_frames * self._frame_ms(self._seen[-1].at_ms)
        return max(self._limits.max_retraced_ms, by_chance_ms)

    def _frame_ms(self, at_ms: float) -> float:
        """How far apart the frames are that were compared, in the mean."""
        return (at_ms - self._seen[0].at_ms) / len(self._steps)

    def _stands_still(self) -> bool:
        return float(np.median(self._edge_steps)) <= self._limits.still_edge_step


class _Pace:
    """How evenly a camera gives frames, in the frames that were just the same as the last."""

    def __init__(self, frames: int) -> None:
        self._last: deque[bool] = deque(maxlen=frames)
        self._same_since_ms: float | None = None
        self._same_in_a_row = 0
        self._new_in_a_row = 0
        self._most_new_in_a_row = 0
        self._most_repeated = 0.0
        self.stopped_ms = 0.0

    def add(self, at_ms: float, *, repeated: bool) -> None:
        self._last.append(repeated)
        if len(self._last) == self._last.maxlen:
            self._most_repeated = max(self._most_repeated, sum(self._last) / len(self._last))
        if repeated and self._same_since_ms is not None:
            self._same_in_a_row += 1
            # Where frames come rarely, one that is shown once more says nothing of how long.
            if self._same_in_a_row >= _LEAST_REPEATED:
                self.stopped_ms = max(self.stopped_ms, at_ms - self._same_since_ms)
            self._new_in_a_row = 0
            return
        self._same_since_ms = at_ms
        self._same_in_a_row = 0
        self._new_in_a_row += 1
        self._most_new_in_a_row = max(self._most_new_in_a_row, self._new_in_a_row)

    @property
    def uneven(self) -> float:
        """The largest share of repeated frames, if the camera can give new ones in a row too."""
        half = (self._last.maxlen or 0) // 2
        return self._most_repeated if self._most_new_in_a_row > half else 0.0


class _Retracing:
    """For how long each frame was nearest to the one that followed, or went before, the last's.

    Fewer than ``_LEAST_RUN`` frames in a row do so by chance.
    """

    _LEAST_RUN = 5

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._runs_ms: dict[int, list[float]] = {1: [], -1: []}
        self.longest_ms = 0.0

    def add(self, at_ms: float, match_ms: float | None, *, tolerance_ms: float) -> None:
        last, self._last = self._last, None if match_ms is None else (at_ms, match_ms)
        if last is None or match_ms is None:
            self._runs_ms = {1: [], -1: []}
            return
        passed_ms = at_ms - last[0]
        for direction, run_ms in self._runs_ms.items():
            went_ms = direction * (match_ms - last[1])
            if went_ms > 0 and abs(went_ms - passed_ms) < tolerance_ms:
                run_ms.append(passed_ms)
            else:
                run_ms.clear()
            if len(run_ms) >= self._LEAST_RUN:
                self.longest_ms = max(self.longest_ms, sum(run_ms))


def seams(steps: Sequence[_Step]) -> tuple[float, float, float]:
    """How many times as large as both its neighbours a step is: the largest three of a visit.

    A movement begins and ends; where a recording begins anew, a single step is large, and where it
    was cut into another one, once in and once out. A step that took longer may be larger by as
    much.
    """
    if len(steps) < 6:
        return 0.0, 0.0, 0.0
    size, took_ms = np.array([(one.size, one.took_ms) for one in steps]).T
    longer = np.maximum(1.0, took_ms[1:-1] / np.stack([took_ms[:-2], took_ms[2:]]))
    neighbours = (longer * np.stack([size[:-2], size[2:]])).max(axis=0)
    third, second, first = np.sort(size[1:-1] / np.maximum(neighbours, 1e-3))[-3:].tolist()
    return first, second, third


def unevenness(first: _Step, second: _Step) -> float:
    """How many times as large as the other one of two steps is, for the time that each took.

    A frame that is sent again, with fresh noise, hardly differs from the last; the next one has
    moved on all the way. Whoever moves gains speed and loses it.
    """
    small, large = sorted((first, second), key=lambda step: step.size)
    return large.size / max(small.size, 1e-3) / max(1.0, large.took_ms / small.took_ms)


def evenly_lit(thumbnail: Image) -> Floats:
    """The thumbnail as float32 with the same mean light as any other."""
    light = np.asarray(thumbnail, np.float32)
    return light * (_MEAN_LIGHT / max(float(light.mean()), 1.0))
