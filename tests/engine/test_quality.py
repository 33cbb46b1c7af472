from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from recognition.engine.quality import assess, measure, redness_fall
from recognition.engine.thresholds import KIOSK_QUALITY, PHOTO_QUALITY, QualityThresholds
from recognition.engine.types import Face, Image, Pose, Problem, Quality
from tests.support.portraits import astronaut

STRAIGHT = Pose(0, 0, 0)
BOTH_PROFILES = pytest.mark.parametrize("limits", [KIOSK_QUALITY, PHOTO_QUALITY])


def quality_of(
    image: Image,
    face: Face,
    *,
    limits: QualityThresholds = PHOTO_QUALITY,
    pose: Pose = STRAIGHT,
    ear: float = 0.3,
    moved: tuple[float, float] = (0, 0),
) -> Quality:
    landmarks = face.landmarks + np.array(moved, np.float32)
    return assess(image, landmarks, pose, ear=ear, thresholds=limits)


def lit(factor: float) -> Image:
    return np.clip(astronaut() * factor, 0, 255).astype(np.uint8)


def with_contrast(factor: float) -> Image:
    return np.clip(128 + (astronaut().astype(np.float32) - 128) * factor, 0, 255).astype(np.uint8)


def out_of_focus(face: Face, share_of_face: float) -> Image:
    sigma = face.quality.face_height_px * share_of_face
    return np.asarray(cv2.GaussianBlur(astronaut(), (0, 0), sigma), np.uint8)


def moved_sideways(face: Face, share_of_face: float) -> Image:
    length = round(face.quality.face_height_px * share_of_face)
    return np.asarray(
        cv2.filter2D(astronaut(), -1, np.full((1, length), 1 / length, np.float32)), np.uint8
    )


@pytest.mark.parametrize("limits", [replace(KIOSK_QUALITY, min_face_share=0.15), PHOTO_QUALITY])
def test_an_ordinary_portrait_has_no_problem(
    astronaut_face: Face, limits: QualityThresholds
) -> None:
    quality = quality_of(astronaut(), astronaut_face, limits=limits, pose=astronaut_face.pose)

    assert quality.problems == ()
    assert quality.usable


@BOTH_PROFILES
def test_heavy_blur_is_named(astronaut_face: Face, limits: QualityThresholds) -> None:
    image = out_of_focus(astronaut_face, 0.05)

    assert Problem.BLURRED in quality_of(image, astronaut_face, limits=limits).problems


@BOTH_PROFILES
def test_motion_is_blur_although_horizontal_edges_stay_sharp(
    astronaut_face: Face, limits: QualityThresholds
) -> None:
    image = moved_sideways(astronaut_face, 0.3)

    assert Problem.BLURRED in quality_of(image, astronaut_face, limits=limits).problems


@BOTH_PROFILES
@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (lit(0.1), Problem.TOO_DARK),
        (lit(2.2), Problem.TOO_BRIGHT),
        (with_contrast(0.1), Problem.LOW_CONTRAST),
    ],
    ids=["dark", "over-exposed", "fog"],
)
def test_bad_light_is_named_once(
    astronaut_face: Face, limits: QualityThresholds, image: Image, problem: Problem
) -> None:
    problems = quality_of(image, astronaut_face, limits=limits).problems
    about_light = {Problem.TOO_DARK, Problem.TOO_BRIGHT, Problem.LOW_CONTRAST}

    assert [p for p in problems if p in about_light] == [problem]


@BOTH_PROFILES
@pytest.mark.parametrize(
    ("pose", "problems"),
    [
        (Pose(yaw=40, pitch=0, roll=0), [Problem.TURNED]),
        (Pose(yaw=-40, pitch=0, roll=0), [Problem.TURNED]),
        (Pose(yaw=0, pitch=-35, roll=0), [Problem.TURNED]),
        (Pose(yaw=0, pitch=0, roll=35), [Problem.TILTED]),
        (Pose(yaw=40, pitch=0, roll=-35), [Problem.TURNED, Problem.TILTED]),
        (Pose(yaw=20, pitch=15, roll=15), []),
    ],
)
def test_a_head_that_looks_elsewhere_is_named(
    astronaut_face: Face, limits: QualityThresholds, pose: Pose, problems: list[Problem]
) -> None:
    found = quality_of(astronaut(), astronaut_face, limits=limits, pose=pose).problems

    assert [p for p in found if p in (Problem.TURNED, Problem.TILTED)] == problems


def test_closed_eyes_are_named_and_narrow_ones_are_not(astronaut_face: Face) -> None:
    closed = quality_of(astronaut(), astronaut_face, ear=0.06)
    narrow = quality_of(astronaut(), astronaut_face, ear=0.15)

    assert closed.problems == (Problem.EYES_CLOSED,)
    assert narrow.problems == ()


def test_a_face_over_the_edge_is_cut_off(astronaut_face: Face) -> None:
    to_the_left = quality_of(astronaut(), astronaut_face, moved=(-220, 0))
    downwards = quality_of(astronaut()[:160], astronaut_face)

    assert to_the_left.problems[0] is Problem.CUT_OFF
    assert downwards.problems[0] is Problem.CUT_OFF


def test_a_face_outside_the_picture_is_refused_without_a_crash(astronaut_face: Face) -> None:
    quality = quality_of(astronaut(), astronaut_face, moved=(-2000, 0))

    assert Problem.CUT_OFF in quality.problems


@pytest.mark.parametrize(
    ("face_height", "problem"),
    [(90, Problem.TOO_SMALL), (100, None), (430, None), (450, Problem.TOO_LARGE)],
)
def test_the_kiosk_wants_a_face_between_a_fifth_and_nine_tenths_of_the_frame(
    astronaut_face: Face, face_height: float, problem: Problem | None
) -> None:
    frame = np.zeros((480, 640, 3), np.uint8)
    middle = astronaut_face.landmarks.mean(axis=0)
    scale = face_height / astronaut_face.quality.face_height_px
    landmarks = ((astronaut_face.landmarks - middle) * scale + (320, 240)).astype(np.float32)

    problems = assess(frame, landmarks, STRAIGHT, ear=0.3, thresholds=KIOSK_QUALITY).problems
    about_size = [p for p in problems if p in (Problem.TOO_SMALL, Problem.TOO_LARGE)]

    assert about_size == ([problem] if problem else [])


def masked(image: Image, face: Face, colour: tuple[int, int, int]) -> Image:
    """A plain mask from the middle of the nose to the jaw, lit as the picture is."""
    outline = np.concatenate([face.landmarks[1:16], face.landmarks[29:30]]).round().astype(np.int32)
    mask = cv2.fillPoly(np.zeros(image.shape[:2], np.uint8), [outline], 1)
    light = cv2.GaussianBlur(image, (0, 0), 20).mean(axis=2, keepdims=True) / 160
    cloth = np.clip(light * np.array(colour), 0, 255).astype(np.uint8)
    return np.where(mask[..., None] > 0, cloth, image)


@pytest.mark.parametrize(
    "colour", [(110, 170, 205), (235, 235, 230), (120, 122, 125), (30, 30, 34)]
)
def test_a_mask_over_mouth_and_nose_is_refused_in_a_photo(
    astronaut_face: Face, colour: tuple[int, int, int]
) -> None:
    picture = masked(astronaut(), astronaut_face, colour)

    assert Problem.COVERED in quality_of(picture, astronaut_face).problems
    at_a_kiosk = quality_of(picture, astronaut_face, limits=KIOSK_QUALITY)
    assert Problem.COVERED not in at_a_kiosk.problems


@pytest.mark.parametrize("light", [(1.0, 0.8, 0.55), (0.7, 0.85, 1.0), (0.5, 0.5, 0.5)])
def test_the_colour_of_the_light_decides_nothing_about_a_mask(
    astronaut_face: Face, light: tuple[float, float, float]
) -> None:
    bare = (astronaut() * np.array(light)).astype(np.uint8)
    covered = (masked(astronaut(), astronaut_face, (235, 235, 230)) * light).astype(np.uint8)

    assert Problem.COVERED not in quality_of(bare, astronaut_face).problems
    assert Problem.COVERED in quality_of(covered, astronaut_face).problems


def test_a_black_and_white_picture_is_not_taken_for_a_mask(astronaut_face: Face) -> None:
    grey = astronaut().mean(axis=2, keepdims=True).astype(np.uint8).repeat(3, axis=2)

    assert redness_fall(grey, astronaut_face.landmarks) == 0
    assert quality_of(grey, astronaut_face).problems == ()


def test_the_fall_of_redness_worked_out_by_hand() -> None:
    """Red over green is 2 at the root of the nose, and below it once 1 and otherwise a half."""
    image = np.zeros((200, 200, 3), np.uint8)
    image[:100] = (192, 92, 0)
    image[100:] = (42, 92, 0)
    image[100:, 150:] = (92, 92, 0)
    landmarks = np.full((68, 2), 150, np.float32)
    landmarks[36:42], landmarks[42:48] = (60, 50), (140, 50)
    landmarks[[21, 22, 27, 28]] = (100, 50)
    landmarks[[30, 33, 51, 2, 31]] = (50, 150)
    landmarks[[14, 35]] = (180, 150)

    assert redness_fall(image, landmarks) == pytest.approx(np.log(2))


@pytest.mark.parametrize("moved", [-1000, 1000])
def test_a_face_outside_the_picture_is_not_called_covered(
    astronaut_face: Face, moved: float
) -> None:
    assert redness_fall(astronaut(), astronaut_face.landmarks + np.float32(moved)) == 0


def test_what_to_change_first_comes_first(astronaut_face: Face) -> None:
    """Where to stand, then light, then how to look, then to hold still, then the eyes."""
    small = cv2.resize(lit(0.1), None, fx=0.5, fy=0.5)
    landmarks = astronaut_face.landmarks / 2

    quality = assess(small, landmarks, Pose(50, 0, 50), ear=0.05, thresholds=PHOTO_QUALITY)

    assert quality.problems == (
        Problem.TOO_SMALL,
        Problem.TOO_DARK,
        Problem.TURNED,
        Problem.TILTED,
        Problem.BLURRED,
        Problem.EYES_CLOSED,
    )


def test_the_figures_of_a_plain_grey_face() -> None:
    grey = np.full((200, 200, 3), 100, np.uint8)
    landmarks = np.random.default_rng(0).uniform(50, 150, (68, 2)).astype(np.float32)

    appearance = measure(grey, landmarks)

    assert (appearance.sharpness, appearance.brightness, appearance.contrast) == (0, 100, 0)
    assert appearance.burnt_share == 0


def test_half_white_half_black_is_half_burnt() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    image[:, 100:] = 255
    landmarks = np.array([(4, 4), (196, 196)] * 34, np.float32)

    appearance = measure(image, landmarks)

    assert appearance.burnt_share == pytest.approx(0.5, abs=0.02)
    assert appearance.brightness == pytest.approx(127.5, abs=3)
    assert appearance.contrast == 255
