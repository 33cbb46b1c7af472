"""QR codes before the camera: read where they can be, and nothing but None where not."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
import segno

from recognition.engine.analysis import Analyser
from recognition.engine.codes import MAX_CODE_CHARS, read_code
from recognition.engine.synthesis import held_up
from recognition.engine.types import FrameRequest, Image
from tests.support.portraits import as_jpeg, astronaut

PASS = "ROLLCALL1:" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def a_code(content: str | bytes, **options: object) -> Image:
    file = io.BytesIO()
    segno.make(content, micro=False, **options).save(file, kind="png", scale=8, border=4)
    grey = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_GRAYSCALE)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)


def a_frame() -> Image:
    """The astronaut at the door, 640 x 480."""
    square = cv2.resize(astronaut(), (480, 480), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.copyMakeBorder(square, 0, 0, 80, 80, cv2.BORDER_REPLICATE), np.uint8)


@pytest.mark.parametrize("height_share", [0.36, 0.5, 0.75, 1.0])
def test_a_pass_is_read_from_a_third_of_the_frames_height_on(height_share: float) -> None:
    assert read_code(held_up(a_frame(), a_code(PASS), height_share=height_share)) == PASS


@pytest.mark.parametrize("degrees", [-30, 12, 90, 180])
def test_a_pass_may_be_turned(degrees: float) -> None:
    frame = held_up(np.full((480, 640, 3), 90, np.uint8), a_code(PASS), height_share=0.5)
    turn = cv2.getRotationMatrix2D((320, 240), degrees, 1)
    turned = cv2.warpAffine(frame, turn, (640, 480), borderValue=(90, 90, 90))

    assert read_code(np.asarray(turned, np.uint8)) == PASS


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("https://example.edu/?q=1", "https://example.edu/?q=1"),
        ("王小明 é", "王小明 é"),
        ("a\0b", "a\0b"),
        ("x" * 900, "x" * MAX_CODE_CHARS),
    ],
    ids=["an address", "other letters", "a zero byte", "a long text"],
)
def test_a_code_of_something_else_is_text_of_bounded_length(content: str, text: str) -> None:
    assert read_code(a_code(content)) == text


def test_a_code_of_any_bytes_does_no_harm() -> None:
    text = read_code(a_code(bytes(range(128, 256)), mode="byte"))

    assert text is not None
    assert len(text) <= MAX_CODE_CHARS


NOISE = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
CHECKERS = np.where(np.indices((480, 640)).sum(0)[..., None] // 8 % 2, 255, 0)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((480, 640, 3), np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((2, 900, 3), np.uint8),
        np.repeat(CHECKERS, 3, axis=2).astype(np.uint8),
        NOISE,
        astronaut(),
        a_code(PASS)[:200],
    ],
    ids=["black", "one pixel", "a line", "checkers", "noise", "a face", "half a code"],
)
def test_a_picture_without_a_code_has_none(picture: Image) -> None:
    assert read_code(picture) is None


def test_a_code_that_is_painted_over_is_read_rightly_or_not_at_all() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        code = a_code(PASS).copy()
        top, left = random.integers(0, code.shape[0] // 2, 2)
        code[top : top + 90, left : left + 90] = random.integers(0, 255, (90, 90, 3))
        assert read_code(code) in (None, PASS)


def test_a_frame_is_searched_for_a_code_only_where_that_is_asked_for(analyser: Analyser) -> None:
    jpeg = as_jpeg(held_up(a_frame(), a_code(PASS)))

    assert analyser.analyse_frame(jpeg, FrameRequest(read_code=True)).code == PASS
    assert analyser.analyse_frame(jpeg, FrameRequest()).code is None


def test_a_face_and_a_code_are_found_in_one_frame(analyser: Analyser) -> None:
    head = cv2.resize(astronaut()[:300, 80:380], (480, 480))
    beside = held_up(np.full((480, 320, 3), 90, np.uint8), a_code(PASS), height_share=0.6)
    both = np.hstack([np.asarray(head, np.uint8), beside])
    analysis = analyser.analyse_frame(as_jpeg(both), FrameRequest(read_code=True))

    assert analysis.main_face is not None
    assert analysis.code == PASS
