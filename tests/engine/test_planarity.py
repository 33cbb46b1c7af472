"""Parallax and homographies, on points turned by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.engine.liveness.alignment import placement
from recognition.engine.liveness.planarity import Motion, homography_residual, motion
from recognition.engine.types import Points
from tests.support.heads import HEAD, PICTURE, bent, seen

REST_OF_HEAD, REST_OF_PICTURE = seen(HEAD), seen(PICTURE)


def motion_of(rest: Points, moved: Points) -> Motion:
    found = motion(rest, moved)
    assert found is not None
    return found


@pytest.mark.parametrize(("yaw", "pitch"), [(20, 0), (-20, 0), (0, 20), (0, -20)])
def test_a_heads_parallax_is_the_sine_of_its_turn(yaw: float, pitch: float) -> None:
    """Points at one place but at other depths part by depth times sin 20° = 0.342."""
    assert motion_of(REST_OF_HEAD, seen(HEAD, yaw=yaw, pitch=pitch)).parallax == pytest.approx(
        math.sin(math.radians(20)), rel=0.1
    )


@pytest.mark.parametrize(("yaw", "pitch"), [(20, 0), (0, 20), (35, 15)])
def test_a_tilted_picture_has_no_parallax_and_moves_by_a_homography(
    yaw: float, pitch: float
) -> None:
    tilted = seen(PICTURE, yaw=yaw, pitch=pitch)

    assert motion_of(REST_OF_PICTURE, tilted).parallax == pytest.approx(0, abs=1e-4)
    assert homography_residual(REST_OF_PICTURE, tilted) == pytest.approx(0, abs=1e-4)


def test_a_tilted_picture_is_shorter_by_the_cosine() -> None:
    tilted = motion_of(REST_OF_PICTURE, seen(PICTURE, yaw=30))

    assert tilted.foreshortening == pytest.approx(math.cos(math.radians(30)), abs=1e-3)


def test_a_bent_picture_that_is_turned_has_little_of_a_heads_parallax() -> None:
    """A sheet around a tin of the face's width: its middle is in front of its sides, no more."""
    sheet = bent(radius=110)

    turned = motion_of(seen(sheet), seen(sheet, yaw=20))

    assert turned.parallax < 0.15 * math.sin(math.radians(20))


def test_a_turned_head_does_not_move_by_a_homography() -> None:
    assert homography_residual(REST_OF_HEAD, seen(HEAD, yaw=20)) > 0.03


@given(
    right_px=st.floats(-200, 200),
    scale=st.floats(0.5, 2.0),
    lean=st.floats(-0.5, 0.5),
)
def test_shifting_growing_and_leaning_are_no_parallax(
    right_px: float, scale: float, lean: float
) -> None:
    turn = scale * np.array([[math.cos(lean), -math.sin(lean)], [math.sin(lean), math.cos(lean)]])
    moved = (REST_OF_HEAD @ turn.T + np.array([right_px, 0])).astype(np.float32)

    found = motion_of(REST_OF_HEAD, moved)

    assert found.parallax == pytest.approx(0, abs=1e-3)
    assert found.foreshortening == pytest.approx(1, abs=1e-3)


@given(seed=st.integers(0, 10_000))
def test_a_head_is_told_from_a_picture_although_landmarks_tremble(seed: int) -> None:
    """By 1 % of the face's height, 1.9 px, each landmark by itself; a turn by 25 degrees."""
    noise = {"noise_px": 1.9, "seed": seed}
    head = motion_of(REST_OF_HEAD, seen(HEAD, yaw=25, **noise))
    picture = motion_of(REST_OF_PICTURE, seen(PICTURE, yaw=25, **noise))

    assert head.parallax > picture.parallax


def test_landmarks_that_fell_together_have_no_motion() -> None:
    nowhere = np.zeros((68, 2), np.float32)

    assert placement(nowhere) is None
    assert motion(REST_OF_HEAD, nowhere) is None
    assert homography_residual(REST_OF_HEAD, nowhere) == 0.0


def test_a_placement_brings_points_to_the_faces_own_coordinates() -> None:
    """Eye corners 100 px apart, the tip of the nose 2.8 px below the middle of the frame."""
    place = placement(REST_OF_PICTURE)
    assert place is not None

    assert place.px_per_hundredth == pytest.approx(1, abs=1e-3)
    assert place.in_face(REST_OF_PICTURE[[30]]) == pytest.approx(np.array([[0, 2.8]]), abs=0.05)
