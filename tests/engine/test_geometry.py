from __future__ import annotations

from math import cos, radians, sin

import numpy as np
import pytest

from recognition.engine.geometry import (
    HEAD_MODEL,
    eye_aspect_ratio,
    eye_aspect_ratios,
    face_height_px,
    head_pose,
)

HEAD_MODEL_LANDMARKS = [36, 39, 42, 45, 27, 28, 29, 30, 31, 33, 35, 48, 54, 8]


def an_eye(*, width: float, left_height: float, right_height: float) -> np.ndarray:
    """Six points: corners on the x axis, lids symmetric about it."""
    return np.array(
        [
            (0, 0),
            (width / 3, -left_height / 2),
            (2 * width / 3, -right_height / 2),
            (width, 0),
            (2 * width / 3, right_height / 2),
            (width / 3, left_height / 2),
        ],
        np.float32,
    )


def seen_landmarks(
    *,
    yaw: float = 0,
    pitch: float = 0,
    roll: float = 0,
    distance: float = 1e9,
    size: float = 2.0,
) -> np.ndarray:
    """The generic head, first leant, then nodded, then turned, as a camera sees it.

    ``distance`` is in hundredths of the outer eye distance (about 0.9 mm).
    """
    y, p, r = radians(yaw), radians(pitch), radians(roll)
    lean = np.array([[cos(r), -sin(r), 0], [sin(r), cos(r), 0], [0, 0, 1]])
    nod = np.array([[1, 0, 0], [0, cos(p), sin(p)], [0, -sin(p), cos(p)]])
    turn = np.array([[cos(y), 0, -sin(y)], [0, 1, 0], [sin(y), 0, cos(y)]])
    head = HEAD_MODEL @ (turn @ nod @ lean).T
    landmarks = np.zeros((68, 2), np.float32)
    landmarks[HEAD_MODEL_LANDMARKS] = head[:, :2] / (1 + head[:, 2:] / distance) * size + (320, 240)
    return landmarks


@pytest.mark.parametrize(
    ("left_height", "right_height", "expected"),
    [(10, 10, 10 / 30), (10, 8, 9 / 30), (0, 0, 0.0), (3, 3, 0.1)],
)
def test_the_eye_aspect_ratio_is_mean_height_over_width(
    left_height: float, right_height: float, expected: float
) -> None:
    eye = an_eye(width=30, left_height=left_height, right_height=right_height)

    assert eye_aspect_ratio(eye) == pytest.approx(expected)


def test_the_eye_aspect_ratio_does_not_depend_on_place_size_or_tilt() -> None:
    eye = an_eye(width=30, left_height=9, right_height=9)
    tilt = np.array([[0.8, -0.6], [0.6, 0.8]])

    moved = (eye @ tilt.T * 3.5 + (200, 100)).astype(np.float32)

    assert eye_aspect_ratio(moved) == pytest.approx(0.3, abs=1e-5)


def test_an_eye_without_width_counts_as_closed() -> None:
    assert eye_aspect_ratio(np.full((6, 2), 7, np.float32)) == 0.0


def test_left_is_the_persons_own_left() -> None:
    landmarks = np.zeros((68, 2), np.float32)
    landmarks[36:42] = an_eye(width=30, left_height=3, right_height=3)  # left in the image
    landmarks[42:48] = an_eye(width=30, left_height=9, right_height=9)

    left, right = eye_aspect_ratios(landmarks)

    assert (left, right) == (pytest.approx(0.3), pytest.approx(0.1))


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll"),
    [(0, 0, 0), (20, 0, 0), (-35, 0, 0), (0, 15, 0), (0, -25, 0), (0, 0, 30), (25, -10, -20)],
)
def test_the_head_pose_of_a_distant_head_is_found_exactly(
    yaw: float, pitch: float, roll: float
) -> None:
    pose = head_pose(seen_landmarks(yaw=yaw, pitch=pitch, roll=roll))

    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((yaw, pitch, roll), abs=0.1)


@pytest.mark.parametrize(("yaw", "pitch"), [(20, 0), (0, 20), (-25, 10)])
def test_a_head_close_to_the_camera_reads_a_few_degrees_off(yaw: float, pitch: float) -> None:
    pose = head_pose(seen_landmarks(yaw=yaw, pitch=pitch, distance=300))

    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((yaw, pitch, 0), abs=4)


def test_yaw_grows_towards_the_right_edge_and_pitch_upwards() -> None:
    """Worked out without the model: where the tip of the nose lies between the eyes."""
    straight, right, up = (
        seen_landmarks(),
        seen_landmarks(yaw=20),
        seen_landmarks(pitch=20),
    )
    tip = 30

    assert right[tip, 0] > straight[tip, 0] + 10
    assert up[tip, 1] < straight[tip, 1] - 10
    assert head_pose(right).yaw > 15
    assert head_pose(up).pitch > 15


def test_roll_grows_clockwise() -> None:
    leaning = seen_landmarks(roll=20)

    assert leaning[45, 1] > leaning[36, 1]  # the eye on the right of the image is lower
    assert head_pose(leaning).roll == pytest.approx(20, abs=0.1)


def test_noise_of_a_pixel_moves_the_pose_by_little() -> None:
    random = np.random.default_rng(0)
    errors = []
    for _ in range(200):
        yaw, pitch = random.uniform(-25, 25, 2)
        landmarks = seen_landmarks(yaw=yaw, pitch=pitch, size=1.5)
        pose = head_pose(landmarks + random.normal(0, 1, landmarks.shape).astype(np.float32))
        errors.append((abs(pose.yaw - yaw), abs(pose.pitch - pitch), abs(pose.roll)))

    assert np.mean(errors, axis=0).max() < 2.5


def test_landmarks_that_fell_together_have_no_pose() -> None:
    pose = head_pose(np.full((68, 2), 5, np.float32))

    assert (pose.yaw, pose.pitch, pose.roll) == (0, 0, 0)


def test_the_height_of_a_face_runs_from_brows_to_chin_along_its_axis() -> None:
    landmarks = np.zeros((68, 2), np.float32)
    landmarks[17:27] = (100, 50)
    landmarks[8] = (100 + 60, 50 + 80)

    assert face_height_px(landmarks) == pytest.approx(117)
