"""What a frame's pixels say: on frames made by hand and on a face before a camera."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from recognition.engine.analysis import Analyser
from recognition.engine.images import decode_frame
from recognition.engine.liveness.border import border_cover
from recognition.engine.liveness.cues import LEFT_EYE_PATCH, RIGHT_EYE_PATCH, measure_cues
from recognition.engine.liveness.lids import eye_regions, lid_motion
from recognition.engine.liveness.spectrum import narrow_peak
from recognition.engine.thresholds import PassiveThresholds
from recognition.engine.types import Box, Face, FrameRequest, Image
from tests.support.portraits import as_jpeg, astronaut, astronaut_frame
from tests.support.shared import lfw_pictures, needs_faces

LIMITS = PassiveThresholds()


def noise(side: int, *, seed: int = 0, deviation: float = 4.0) -> np.ndarray:
    texture = np.random.default_rng(seed).normal(128, deviation, (side, side))
    return texture.astype(np.float32)


def grating(side: int, *, period_px: float, strength: float) -> np.ndarray:
    """Stripes that lean a little, as those of a screen that is not held quite straight."""
    rows, columns = np.indices((side, side))
    return (strength * np.sin(2 * np.pi * (columns + 0.15 * rows) / period_px)).astype(np.float32)


# The spectrum


@pytest.mark.parametrize("side", [64, 128])
@pytest.mark.parametrize("period_px", [2.5, 4.6, 9.0])
def test_a_fine_grating_stands_out_of_the_noise(side: int, period_px: float) -> None:
    square = noise(side) + grating(side, period_px=period_px, strength=4)

    assert narrow_peak(square) > LIMITS.max_moire


@pytest.mark.parametrize("seed", range(10))
def test_noise_alone_has_no_narrow_peak(seed: int) -> None:
    assert narrow_peak(noise(128, seed=seed)) < LIMITS.max_moire


def test_a_single_edge_is_a_ridge_and_no_peak() -> None:
    edge = noise(128)
    edge[:, 64:] += 60

    assert narrow_peak(edge) < LIMITS.max_moire


def test_the_blocks_of_a_coarse_jpeg_are_not_taken_for_a_screen() -> None:
    grey = np.repeat(noise(128, deviation=12).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    coarse = decode_frame(as_jpeg(grey, quality=30))

    assert narrow_peak(coarse[..., 0].astype(np.float32)) < LIMITS.max_moire


def test_a_square_of_one_colour_has_no_peak() -> None:
    assert narrow_peak(np.full((64, 64), 200, np.float32)) == 0.0


# The border


FACE = Box(60, 40, 100, 80)


def room() -> Image:
    """160 x 120 of blurred texture."""
    texture = np.random.default_rng(1).normal(120, 60, (120, 160)).astype(np.float32)
    return np.clip(cv2.GaussianBlur(texture, (0, 0), 8), 0, 255).astype(np.uint8)


def with_bezel(picture: Image, corners: list[tuple[int, int]]) -> Image:
    framed = picture.copy()
    cv2.polylines(framed, [np.array(corners, np.int32)], True, 10, thickness=4)
    return framed


@pytest.mark.parametrize(
    "corners",
    [
        [(45, 15), (115, 15), (115, 105), (45, 105)],
        [(42, 20), (113, 12), (120, 100), (49, 108)],  # leaning
    ],
)
def test_a_dark_frame_around_the_face_is_a_border(corners: list[tuple[int, int]]) -> None:
    assert border_cover(with_bezel(room(), corners), FACE, scale=1.0) > LIMITS.max_border


def test_a_door_behind_somebody_has_no_lower_side() -> None:
    picture = room()
    for start, end in (((45, 15), (115, 15)), ((45, 15), (45, 119)), ((115, 15), (115, 119))):
        cv2.line(picture, start, end, 10, 4)

    assert border_cover(picture, FACE, scale=1.0) == 0.0


def test_edges_whose_surroundings_differ_all_around_are_no_bezel() -> None:
    picture = room()
    picture[:60] //= 4
    picture[15:105, 45:115] = 255 - picture[15:105, 45:115]

    assert border_cover(picture, FACE, scale=1.0) < LIMITS.max_border


def test_the_face_is_given_in_the_frames_own_pixels() -> None:
    framed = with_bezel(room(), [(45, 15), (115, 15), (115, 105), (45, 105)])
    in_frame = Box(4 * FACE.left, 4 * FACE.top, 4 * FACE.right, 4 * FACE.bottom)

    assert border_cover(framed, in_frame, scale=0.25) > LIMITS.max_border


# All of them, on a face


@pytest.fixture(scope="module")
def frame() -> Image:
    return astronaut_frame(640, 480, face_share=0.5)


@pytest.fixture(scope="module")
def face(analyser: Analyser, frame: Image) -> Face:
    found = analyser.analyse_frame(as_jpeg(frame), FrameRequest()).main_face
    assert found is not None
    return found


def test_cues_come_where_they_are_asked_for(analyser: Analyser, frame: Image) -> None:
    jpeg = as_jpeg(frame)

    assert analyser.analyse_frame(jpeg, FrameRequest()).cues is None
    cues = analyser.analyse_frame(jpeg, FrameRequest(cues=True)).cues
    assert cues is not None
    assert cues.thumbnail.shape == (24, 32)
    assert cues.eyes.shape == (2, 24, 32)
    assert cues.face.shape == (24, 24)


def test_a_frame_without_a_face_has_no_cues(analyser: Analyser) -> None:
    empty = as_jpeg(np.full((480, 640, 3), 90, np.uint8))

    assert analyser.analyse_frame(empty, FrameRequest(cues=True)).cues is None


def test_a_digest_is_equal_for_equal_frames_only(frame: Image, face: Face) -> None:
    other = frame.copy()
    other[240, 320] ^= 8

    digests = [measure_cues(each, face) for each in (frame, frame.copy(), other)]

    assert all(digests)
    first, second, third = (each.digest for each in digests if each)
    assert first == second
    assert first != third


def test_patches_stay_where_they_are_while_the_face_moves(
    analyser: Analyser, frame: Image, face: Face
) -> None:
    """Shifted, grown and leant: the eyes' patches differ by less than a tenth of their contrast."""
    motion = cv2.getRotationMatrix2D((320, 240), 6, 1.1)
    moved = np.asarray(cv2.warpAffine(frame, motion, (640, 480)), np.uint8)
    moved_face = analyser.analyse_frame(as_jpeg(moved), FrameRequest()).main_face
    assert moved_face is not None
    before, after = measure_cues(frame, face), measure_cues(moved, moved_face)
    assert before is not None
    assert after is not None

    difference = np.abs(before.eyes.astype(float) - after.eyes.astype(float)).mean()

    assert difference < 0.1 * np.ptp(before.eyes)


def test_a_grating_on_the_face_is_moire_and_the_face_alone_is_not(frame: Image, face: Face) -> None:
    rows, columns = np.indices((480, 640))
    stripes = 10 * np.sin(2 * np.pi * (columns + 0.1 * rows) / 3.7)
    on_screen = np.clip(frame + stripes[..., None], 0, 255).astype(np.uint8)
    plain, shown = measure_cues(frame, face), measure_cues(on_screen, face)
    assert plain is not None
    assert shown is not None

    assert plain.moire < LIMITS.max_moire < shown.moire


def test_coloured_stripes_of_equal_light_are_moire_too(frame: Image, face: Face) -> None:
    """Green against red and blue, so strong that their light cancels."""
    rows, columns = np.indices((480, 640))
    stripes = 12 * np.sin(2 * np.pi * (columns + 0.1 * rows) / 5.3)
    balance = np.array([-0.587 / 0.413, 1.0, -0.587 / 0.413])
    on_screen = np.clip(frame + stripes[..., None] * balance, 0, 255).astype(np.uint8)
    shown = measure_cues(on_screen, face)
    assert shown is not None

    assert shown.moire > LIMITS.max_moire


@needs_faces
def test_pictures_of_people_hardly_ever_look_like_a_screen(analyser: Analyser) -> None:
    """One frame; a visit is judged by the median of its frames."""
    pictures = [paths[0] for paths in lfw_pictures().values()][:60]
    peaks = [
        analysis.cues.moire
        for analysis in (
            analyser.analyse_frame(path.read_bytes(), FrameRequest(cues=True, fine=True))
            for path in pictures
        )
        if analysis.cues
    ]

    assert len(peaks) > 50
    assert np.mean(np.array(peaks) > LIMITS.max_moire) <= 0.02


def test_landmarks_that_fell_together_give_no_cues(frame: Image, face: Face) -> None:
    nowhere = replace(face, landmarks=np.zeros((68, 2), np.float32))

    assert measure_cues(frame, nowhere) is None


# Lids

# An eye 28 hundredths wide and 10 high, in the middle of its patch.
CONTOUR = np.array(
    [(-50.0, -38.0), (-41.0, -43.0), (-31.0, -43.0), (-22.0, -38.0), (-31.0, -33.0), (-41.0, -33.0)]
)


def an_eye(*, seed: int = 0, opening: float = 60.0) -> np.ndarray:
    """Skin with a crease above the eye, the eye's opening, and the noise of a camera."""
    rows = np.arange(24.0)[:, None]
    patch = 170 - 40 * np.exp(-(((rows - 8) / 2) ** 2)) + np.zeros((24, 32))
    inside, _ = eye_regions(CONTOUR, RIGHT_EYE_PATCH)
    patch[cv2.erode(inside.astype(np.uint8), np.ones((5, 5))) > 0] = opening
    return patch + np.random.default_rng(seed).normal(0, 1.0, patch.shape)


def test_a_lid_that_comes_down_takes_the_skin_with_it() -> None:
    _, band = eye_regions(CONTOUR, RIGHT_EYE_PATCH)
    closed = an_eye(seed=9, opening=165)
    closed[band] += 15  # the crease is drawn out

    motion = lid_motion([an_eye(seed=s) for s in range(4)], closed, CONTOUR, RIGHT_EYE_PATCH)

    assert motion.ratio > LIMITS.least_lid_motion


def test_behind_a_hole_only_what_is_inside_changes() -> None:
    closed = an_eye(seed=9, opening=165)

    motion = lid_motion([an_eye(seed=s) for s in range(4)], closed, CONTOUR, RIGHT_EYE_PATCH)

    assert motion.ratio < LIMITS.least_lid_motion
    assert motion.inside > 50


def test_a_mask_that_moves_with_the_head_is_laid_over_itself_first() -> None:
    """Shifted by a third of a pixel and brighter by a tenth: no change of the skin."""
    closed = an_eye(seed=9, opening=165)
    shifted = cv2.warpAffine(
        closed, np.float32([[1, 0, 0.3], [0, 1, 0.3]]), (32, 24), borderMode=cv2.BORDER_REPLICATE
    )

    motion = lid_motion([an_eye(seed=s) for s in range(4)], 1.1 * shifted, CONTOUR, RIGHT_EYE_PATCH)

    assert motion.ratio < LIMITS.least_lid_motion


def test_the_band_lies_between_brow_and_eye() -> None:
    inside, band = eye_regions(CONTOUR, RIGHT_EYE_PATCH)
    mirrored = CONTOUR[[3, 2, 1, 0, 5, 4]] * np.array([-1, 1])
    other_inside, other_band = eye_regions(mirrored, LEFT_EYE_PATCH)

    assert not (inside & band).any()
    assert np.nonzero(band)[0].max() < np.nonzero(inside)[0].mean()
    assert (other_inside == inside[:, ::-1]).mean() > 0.95
    assert (other_band == band[:, ::-1]).mean() > 0.95


def test_an_astronauts_portrait_is_no_screen(analyser: Analyser) -> None:
    analysis = analyser.analyse_frame(as_jpeg(astronaut()), FrameRequest(cues=True, fine=True))

    assert analysis.cues is not None
    assert analysis.cues.moire < LIMITS.max_moire
    assert analysis.cues.border_cover < LIMITS.max_border
