"""Whether somebody may have come since nobody was found: what saves the search of most frames."""

from __future__ import annotations

import numpy as np
import pytest

from recognition.engine.analysis import Analyser
from recognition.engine.dialogue import SEARCH_EVERY, CheckInDialogue, Phase
from recognition.engine.images import decode_glance
from recognition.engine.stillness import is_still
from recognition.engine.types import EngineError, FrameRequest, Image
from tests.support.portraits import as_jpeg, astronaut_frame


def an_empty_room(*, noise: float = 0.0, seed: int = 1, light: float = 0.0) -> Image:
    room = np.full((480, 640, 3), 90.0)
    room[:, 300:] = 140.0
    room[300:] -= 40.0
    random = np.random.default_rng(seed)
    return np.clip(room + light + random.normal(0, noise, room.shape), 0, 255).astype(np.uint8)


def with_face(room: Image, *, height_px: int, contrast: float = 1.0) -> Image:
    """A face of that height in the corner; its contrast may be that of poor light."""
    side = height_px * 2
    face = astronaut_frame(side, side, face_share=0.5).astype(np.float32)
    picture = room.copy()
    behind = picture[20 : 20 + side, 20 : 20 + side]
    behind[:] = (behind + contrast * (face - behind)).astype(np.uint8)
    return picture


def glance(picture: Image) -> Image:
    return decode_glance(as_jpeg(picture))


def test_a_glance_is_an_eighth_of_the_frame_in_grey() -> None:
    assert glance(an_empty_room()).shape == (60, 80)


def test_a_glance_refuses_what_a_frame_refuses() -> None:
    with pytest.raises(EngineError, match="not a JPEG"):
        decode_glance(b"GIF89a")


@pytest.mark.parametrize("noise", [0.0, 3.0, 10.0])
def test_the_noise_of_a_camera_is_nothing_new(noise: float) -> None:
    before, now = (glance(an_empty_room(noise=noise, seed=seed)) for seed in (1, 2))
    assert is_still(now, before)


@pytest.mark.parametrize("contrast", [1.0, 0.3])
def test_the_smallest_face_is_something_new(contrast: float) -> None:
    room = an_empty_room(noise=3.0)
    assert not is_still(glance(with_face(room, height_px=80, contrast=contrast)), glance(room))


def test_another_light_and_another_size_count_as_new() -> None:
    room = glance(an_empty_room())
    assert not is_still(glance(an_empty_room(light=15.0)), room)
    assert not is_still(room[:30], room)


def test_only_a_fine_search_in_vain_is_told_as_nobody(analyser: Analyser) -> None:
    empty, somebody = as_jpeg(an_empty_room()), as_jpeg(astronaut_frame(640, 480, face_share=0.5))
    assert analyser.analyse_frame(empty, FrameRequest()).nobody_in is None
    assert analyser.analyse_frame(empty, FrameRequest(fine=True)).nobody_in is not None
    assert analyser.analyse_frame(somebody, FrameRequest(fine=True)).nobody_in is None


def test_who_steps_up_is_seen_in_the_next_frame(analyser: Analyser) -> None:
    nobody = analyser.analyse_frame(as_jpeg(an_empty_room()), FrameRequest(fine=True)).nobody_in
    request = FrameRequest(unless_like=nobody)
    assert not analyser.analyse_frame(as_jpeg(an_empty_room(noise=3.0)), request).faces
    somebody = with_face(an_empty_room(noise=3.0), height_px=200)
    assert analyser.analyse_frame(as_jpeg(somebody), request).faces


def test_a_dialogue_searches_an_empty_room_now_and_then_only(analyser: Analyser) -> None:
    dialogue, empty = CheckInDialogue(draw=lambda: 0.0), as_jpeg(an_empty_room())
    searched = []
    for number in range(3 * SEARCH_EVERY):
        request = dialogue.request()
        searched.append(request.unless_like is None)
        assert dialogue.step(analyser.analyse_frame(empty, request), 100.0 * number).phase is (
            Phase.SEARCHING
        )
    assert searched[0]
    assert sum(searched) == 3
