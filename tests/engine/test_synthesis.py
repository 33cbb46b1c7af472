from __future__ import annotations

import numpy as np
import pytest

from recognition.engine.analysis import Analyser
from recognition.engine.synthesis import (
    AnimatedPortrait,
    blink_closure,
    blinking_clip,
    eyes_closed,
)
from recognition.engine.types import Face, FrameRequest
from tests.support.portraits import as_jpeg, astronaut


@pytest.fixture(scope="module")
def portrait(astronaut_face: Face) -> AnimatedPortrait:
    return AnimatedPortrait(astronaut(), landmarks=astronaut_face.landmarks)


def test_the_eye_aspect_ratio_falls_as_the_lids_come_down(
    analyser: Analyser, portrait: AnimatedPortrait
) -> None:
    ears = []
    for closure in (0.0, 0.5, 1.0):
        jpeg = as_jpeg(portrait.frame(0.0, closure=closure))
        (face,) = analyser.analyse_frame(jpeg, FrameRequest()).faces
        ears.append(face.ear)

    assert ears[0] > 0.28
    assert ears[0] > ears[1] > ears[2]
    assert ears[2] < 0.55 * ears[0]


def test_the_face_with_closed_eyes_is_still_the_same_person(
    analyser: Analyser, portrait: AnimatedPortrait, astronaut_face: Face
) -> None:
    closed = as_jpeg(portrait.frame(0.0, closure=1.0))
    (face,) = analyser.analyse_frame(closed, FrameRequest(embed=True)).faces

    assert face.embedding is not None
    assert astronaut_face.embedding is not None
    assert float(face.embedding @ astronaut_face.embedding) > 0.97


def test_only_the_region_of_the_eyes_changes(astronaut_face: Face) -> None:
    changed = (eyes_closed(astronaut(), astronaut_face.landmarks, 1.0) != astronaut()).any(axis=2)
    rows, columns = np.nonzero(changed)
    brows, eyes = astronaut_face.landmarks[17:27], astronaut_face.landmarks[36:48]

    assert columns.min() >= eyes[:, 0].min() - 1
    assert columns.max() <= eyes[:, 0].max() + 1
    assert rows.min() > brows[:, 1].min()
    assert rows.max() < eyes[:, 1].max() + 10


def test_open_eyes_leave_the_picture_as_it_is(astronaut_face: Face) -> None:
    image = astronaut()
    opened = eyes_closed(image, astronaut_face.landmarks, 0.0)

    assert np.array_equal(opened, image)
    assert opened is not image


@pytest.mark.parametrize("closure", [-0.1, 1.5, float("nan")])
def test_an_impossible_closure_is_refused(astronaut_face: Face, closure: float) -> None:
    with pytest.raises(ValueError, match="expected 0"):
        eyes_closed(astronaut(), astronaut_face.landmarks, closure)


@pytest.mark.parametrize(
    ("time_s", "closure"),
    [(1.9, 0.0), (2.0, 0.0), (2.125, 1.0), (2.25, 0.0), (2.3, 0.0), (4.125, 1.0)],
)
def test_a_blink_closes_and_opens(time_s: float, closure: float) -> None:
    assert blink_closure(time_s, blinks_at=(2.0, 4.0), blink_ms=250) == pytest.approx(closure)


def test_a_clip_is_repeatable_and_moves(astronaut_face: Face) -> None:
    def clip(seed: int) -> list[np.ndarray]:
        return list(
            blinking_clip(
                astronaut(),
                landmarks=astronaut_face.landmarks,
                width=320,
                height=240,
                seconds=1,
                seed=seed,
            )
        )

    first, again, other = clip(1), clip(1), clip(2)

    assert len(first) == 15
    assert {frame.shape for frame in first} == {(240, 320, 3)}
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[5])
    assert not np.array_equal(first[0], other[0])


def test_a_clip_blinks_when_it_is_told_to(analyser: Analyser, astronaut_face: Face) -> None:
    frames = blinking_clip(
        astronaut(), landmarks=astronaut_face.landmarks, seconds=2, blinks_at=(1.0,), blink_ms=300
    )
    ears = {}
    for number, frame in enumerate(frames):
        (face,) = analyser.analyse_frame(as_jpeg(frame), FrameRequest()).faces
        ears[number / 15] = face.ear

    baseline = float(np.median(list(ears.values())))
    closed_at = [time_s for time_s, ear in ears.items() if ear < 0.68 * baseline]
    assert len(closed_at) >= 2
    assert min(closed_at) >= 1.0
    assert max(closed_at) <= 1.3


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720), (480, 640)])
def test_the_face_fills_its_share_of_the_frame(
    analyser: Analyser, astronaut_face: Face, width: int, height: int
) -> None:
    portrait = AnimatedPortrait(
        astronaut(),
        landmarks=astronaut_face.landmarks,
        width=width,
        height=height,
        face_height_share=0.45,
    )
    (face,) = analyser.analyse_frame(as_jpeg(portrait.frame(0.5)), FrameRequest()).faces

    assert face.quality.face_height_px == pytest.approx(0.45 * height, rel=0.1)
    assert face.quality.problems == ()


def test_landmarks_of_no_face_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        AnimatedPortrait(astronaut(), landmarks=np.zeros((68, 2), np.float32))
