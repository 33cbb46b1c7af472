"""Blinks on hand-made eye aspect ratios: frames are samples, times are what counts."""

from __future__ import annotations

import numpy as np
import pytest

from recognition.engine.blink import Blink, BlinkTracker, upper_face_change
from recognition.engine.types import Face
from tests.support.face_samples import a_face

OPEN, CLOSED = 0.32, 0.10


def blinks_in(ears: list[float], fps: float, *, noses: list[float] | None = None) -> list[Blink]:
    tracker = BlinkTracker()
    found = []
    for index, ear in enumerate(ears):
        nose = noses[index] if noses else 1.0
        blink = tracker.add(a_face(ear=ear, nose=nose), index * 1000 / fps)
        found += [blink] if blink else []
    return found


def eyes(
    fps: float, *, closed_ms: float, opened: float = OPEN, closed: float = CLOSED
) -> list[float]:
    """A second of open eyes, a closure of that length, another second of open eyes."""
    before = [opened] * round(fps)
    return [*before, *[closed] * max(1, round(closed_ms * fps / 1000)), *before]


@pytest.mark.parametrize("fps", [5, 8, 12, 15, 24, 30])
def test_one_blink_is_seen_once_at_any_frame_rate(fps: float) -> None:
    assert len(blinks_in(eyes(fps, closed_ms=250), fps)) == 1


@pytest.mark.parametrize("opened", [0.23, 0.30, 0.42])
def test_the_baseline_is_the_faces_own(opened: float) -> None:
    ears = eyes(15, closed_ms=250, opened=opened, closed=opened * 0.4)

    assert len(blinks_in(ears, 15)) == 1


def test_wide_eyes_that_narrow_to_anothers_open_eyes_count_as_a_blink_only_below_the_ratio() -> (
    None
):
    assert blinks_in(eyes(15, closed_ms=250, opened=0.42, closed=0.32), 15) == []


def test_one_noisy_frame_at_30_a_second_is_no_blink() -> None:
    assert blinks_in(eyes(30, closed_ms=33), 30) == []


def test_eyes_closed_for_a_second_are_no_blink() -> None:
    assert blinks_in(eyes(15, closed_ms=1200), 15) == []


def test_one_eye_alone_is_no_blink() -> None:
    tracker = BlinkTracker()
    faces = [a_face(ear=OPEN)] * 15 + [a_face(ear_left=CLOSED, ear_right=OPEN)] * 4
    faces += [a_face(ear=OPEN)] * 15

    assert [tracker.add(face, i * 66.7) for i, face in enumerate(faces)] == [None] * len(faces)


def test_a_tilt_that_shortens_the_nose_as_well_is_no_blink() -> None:
    ears = eyes(15, closed_ms=300, closed=OPEN * 0.6)
    tilted = [0.6 if ear < OPEN else 1.0 for ear in ears]

    assert blinks_in(ears, 15, noses=tilted) == []
    assert len(blinks_in(ears, 15)) == 1


def test_a_blink_tells_its_times_and_depth() -> None:
    (blink,) = blinks_in(eyes(10, closed_ms=300), 10)

    assert blink.open_until_ms == 900
    assert blink.closed_from_ms == 1000
    assert blink.closed_ms == 200
    assert blink.spanned_ms == 400
    assert blink.depth == pytest.approx(CLOSED / OPEN, abs=0.01)
    assert blink.baseline == pytest.approx(OPEN)


def test_nothing_is_a_blink_before_the_open_eyes_are_known() -> None:
    assert blinks_in([OPEN, CLOSED, OPEN, OPEN], 15) == []


@pytest.mark.parametrize(("flicker", "unsteady"), [(0.01, False), (0.06, True)])
def test_eyes_are_unsteady_whose_openness_jumps_from_frame_to_frame(
    flicker: float, unsteady: bool
) -> None:
    tracker = BlinkTracker()
    for number in range(12):
        tracker.add(a_face(ear=0.3 - flicker * (number % 2)), number * 100)

    assert tracker.unsteady is unsteady


def test_a_blink_does_not_make_the_eyes_unsteady() -> None:
    tracker = BlinkTracker()
    for number, ear in enumerate(eyes(15, closed_ms=250)):
        tracker.add(a_face(ear=ear), number * 1000 / 15)

    assert not tracker.unsteady


def test_nobody_seen_has_no_baseline() -> None:
    tracker = BlinkTracker()

    assert not tracker.learned
    assert tracker.baseline == 0
    assert tracker.closed_below == 0


def test_a_slow_fall_and_rise_is_no_blink() -> None:
    slow = [0.32 - 0.01 * step for step in range(11)]

    assert blinks_in([OPEN] * 30 + slow + slow[::-1] + [OPEN] * 30, 15) == []


def test_the_flicker_of_small_eyes_is_no_blink() -> None:
    flicker = np.random.default_rng(0).normal(0, 0.012, 300)

    assert blinks_in(list(0.15 + flicker), 15) == []


def test_a_face_that_is_moved_turned_and_scaled_keeps_its_shape() -> None:
    before = a_face().landmarks
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    assert upper_face_change(before, before @ turn * 1.3 + 50) == pytest.approx(0, abs=1e-5)


def test_a_tilted_picture_changes_its_shape() -> None:
    before = a_face().landmarks
    tilted = before * np.array([1, 0.75], np.float32)

    assert upper_face_change(before, tilted) > 0.04


def test_a_face_sample_has_the_ear_that_was_asked_for() -> None:
    face: Face = a_face(ear=0.3)

    assert face.ear == pytest.approx(0.3)
