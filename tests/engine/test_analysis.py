from __future__ import annotations

import pickle

import numpy as np
import pytest

from recognition.engine.analysis import Analyser
from recognition.engine.images import decode_photo
from recognition.engine.synthesis import eyes_closed
from recognition.engine.types import Box, EngineError, Face, FrameRequest, Image, Problem
from tests.support.portraits import as_jpeg, astronaut, astronaut_frame
from tests.support.shared import MEDIA, needs_media


def a_frame(*, width: int = 640, height: int = 480, face_share: float = 0.4) -> bytes:
    return as_jpeg(astronaut_frame(width, height, face_share=face_share))


def two_astronauts(*, second_scale: float = 1.0) -> Image:
    """The second one on the right, smaller or not."""
    width = round(512 * second_scale)
    picture = np.full((512, 512 + width, 3), 200, np.uint8)
    picture[:, :512] = astronaut()
    step = 1 / second_scale
    rows = columns = (np.arange(width) * step).astype(int)
    picture[:width, 512:] = astronaut()[rows][:, columns]
    return picture


def only_face(analysis_faces: tuple[Face, ...]) -> Face:
    (face,) = analysis_faces
    return face


# ------------------------------------------------------------------------- searching a frame


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720), (480, 640), (320, 240)])
@pytest.mark.parametrize("face_share", [0.35, 0.5, 0.7])
def test_a_face_is_found_in_the_whole_frame(
    analyser: Analyser, width: int, height: int, face_share: float
) -> None:
    analysis = analyser.analyse_frame(
        a_frame(width=width, height=height, face_share=face_share), FrameRequest()
    )
    face = only_face(analysis.faces)

    assert (analysis.width, analysis.height) == (width, height)
    assert face.box.centre == pytest.approx((width / 2, height / 2), abs=0.1 * height)
    assert face.box.height == pytest.approx(face_share * height, rel=0.25)


@pytest.mark.parametrize("face_share", [0.2, 0.35, 0.6, 0.85])
def test_the_region_of_interest_and_the_whole_frame_agree(
    analyser: Analyser, face_share: float
) -> None:
    frame = a_frame(face_share=face_share)
    whole = only_face(analyser.analyse_frame(frame, FrameRequest(fine=True)).faces)
    near = only_face(
        analyser.analyse_frame(frame, FrameRequest(near=whole.box, count_faces=False)).faces
    )

    assert near.box.iou(whole.box) > 0.6
    eye_distance = np.linalg.norm(whole.landmarks[36] - whole.landmarks[45])
    assert np.abs(near.landmarks - whole.landmarks).mean() < 0.05 * eye_distance
    assert near.ear == pytest.approx(whole.ear, abs=0.05)


def test_a_face_that_moved_away_is_found_again(analyser: Analyser) -> None:
    nowhere = Box(0, 0, 100, 100)
    analysis = analyser.analyse_frame(a_frame(), FrameRequest(near=nowhere, count_faces=False))

    assert only_face(analysis.faces).box.centre == pytest.approx((320, 240), abs=40)


@pytest.mark.parametrize(
    "near", [Box(0, 0, 0, 0), Box(-500, -500, -400, -400), Box(5000, 0, 5100, 100), Box(9, 9, 3, 3)]
)
def test_a_useless_hint_does_no_harm(analyser: Analyser, near: Box) -> None:
    analysis = analyser.analyse_frame(a_frame(), FrameRequest(near=near, count_faces=False))

    assert len(analysis.faces) == 1


def test_a_small_face_is_found_by_the_fine_search_only(analyser: Analyser) -> None:
    frame = a_frame(face_share=0.15)

    assert analyser.analyse_frame(frame, FrameRequest()).faces == ()
    face = only_face(analyser.analyse_frame(frame, FrameRequest(fine=True)).faces)
    assert face.box.height == pytest.approx(72, rel=0.3)


def test_counting_looks_beyond_the_region_of_interest(analyser: Analyser) -> None:
    frame = as_jpeg(two_astronauts()[:300])
    left = Box(179, 83, 267, 171)

    follow = analyser.analyse_frame(frame, FrameRequest(near=left, count_faces=False))
    count = analyser.analyse_frame(frame, FrameRequest(near=left))

    assert len(follow.faces) == 1
    assert len(count.faces) == 2


def test_the_largest_face_comes_first(analyser: Analyser) -> None:
    frame = as_jpeg(np.ascontiguousarray(two_astronauts(second_scale=0.7)[:, ::-1]))
    analysis = analyser.analyse_frame(frame, FrameRequest(fine=True))

    assert [face.box.centre[0] > 400 for face in analysis.faces] == [True, False]
    assert analysis.main_face is analysis.faces[0]


def test_an_empty_room_has_no_face(analyser: Analyser) -> None:
    analysis = analyser.analyse_frame(
        as_jpeg(np.full((480, 640, 3), 90, np.uint8)), FrameRequest(fine=True)
    )

    assert analysis.faces == ()
    assert analysis.main_face is None


def test_a_frame_smaller_than_any_face_has_none(analyser: Analyser) -> None:
    assert analyser.analyse_frame(as_jpeg(astronaut()[:5, :7]), FrameRequest()).faces == ()


def test_a_box_never_leaves_the_frame(analyser: Analyser) -> None:
    frame = as_jpeg(np.ascontiguousarray(astronaut_frame(640, 480, face_share=0.6)[:, 240:]))
    face = only_face(analyser.analyse_frame(frame, FrameRequest()).faces)

    assert face.box.left >= 0


# ------------------------------------------------------------------------- what is asked for


def test_no_embedding_is_made_unless_asked_for(analyser: Analyser) -> None:
    plain = only_face(analyser.analyse_frame(a_frame(), FrameRequest()).faces)
    asked = only_face(analyser.analyse_frame(a_frame(), FrameRequest(embed=True)).faces)

    assert plain.embedding is None
    assert asked.embedding is not None


def test_closing_eyes_ask_for_an_embedding(analyser: Analyser) -> None:
    open_frame = astronaut_frame(640, 480, face_share=0.4)
    open_face = only_face(analyser.analyse_frame(as_jpeg(open_frame), FrameRequest()).faces)
    closed_frame = as_jpeg(eyes_closed(open_frame, open_face.landmarks, 1.0))
    request = FrameRequest(embed_if_ear_below=0.7 * open_face.ear)

    still_open = only_face(analyser.analyse_frame(as_jpeg(open_frame), request).faces)
    closed = only_face(analyser.analyse_frame(closed_frame, request).faces)

    assert still_open.embedding is None
    assert closed.embedding is not None


def test_frame_and_photo_of_one_person_are_alike(analyser: Analyser, astronaut_face: Face) -> None:
    frame = analyser.analyse_frame(a_frame(width=1280, height=720), FrameRequest(embed=True))
    embedding = only_face(frame.faces).embedding

    assert embedding is not None
    assert astronaut_face.embedding is not None
    assert float(embedding @ astronaut_face.embedding) > 0.99


def test_an_analysis_can_travel_between_processes(analyser: Analyser) -> None:
    analysis = analyser.analyse_frame(a_frame(), FrameRequest(embed=True))
    travelled = pickle.loads(pickle.dumps(analysis))  # noqa: S301

    assert travelled.width == analysis.width
    assert travelled.faces[0].box == analysis.faces[0].box
    assert np.array_equal(travelled.faces[0].embedding, analysis.faces[0].embedding)


def test_a_broken_frame_is_refused(analyser: Analyser) -> None:
    with pytest.raises(EngineError, match="not a JPEG"):
        analyser.analyse_frame(b"no picture", FrameRequest())


# ------------------------------------------------------------------------- photos


@pytest.mark.parametrize("longer_side", [160, 512, 1600])
def test_a_portrait_of_any_size_gives_an_embedding(analyser: Analyser, longer_side: int) -> None:
    photo = astronaut_frame(longer_side, longer_side, face_share=0.4)
    face = only_face(analyser.analyse_photo(photo).faces)

    assert face.embedding is not None


@pytest.mark.parametrize("face_share", [0.06, 0.15, 0.4, 0.8])
def test_a_face_of_any_share_of_a_large_photo_is_found(
    analyser: Analyser, face_share: float
) -> None:
    photo = astronaut_frame(1600, 1200, face_share=face_share)

    assert len(analyser.analyse_photo(photo).faces) == 1


def test_two_people_in_a_photo_are_named_and_not_embedded(analyser: Analyser) -> None:
    analysis = analyser.analyse_photo(two_astronauts())
    face = analysis.main_face

    assert len(analysis.faces) == 2
    assert face is not None
    assert face.quality.problems[0] is Problem.SEVERAL_FACES
    assert face.embedding is None


def test_a_small_face_in_the_background_does_not_matter(analyser: Analyser) -> None:
    face = analyser.analyse_photo(two_astronauts(second_scale=0.4)).main_face

    assert face is not None
    assert face.quality.problems == ()
    assert face.embedding is not None


def test_a_photo_without_a_face_has_none(analyser: Analyser) -> None:
    assert analyser.analyse_photo(np.zeros((300, 400, 3), np.uint8)).faces == ()


@needs_media
@pytest.mark.parametrize(
    ("name", "people"),
    [
        ("alex-lacamoire.png", 1),
        ("biden.jpg", 1),
        ("biden2.jpg", 1),
        ("lin-manuel-miranda.png", 1),
        ("obama.jpg", 1),
        ("obama2.jpg", 1),
        ("two_people.jpg", 2),
    ],
)
def test_the_people_of_real_pictures_are_counted(
    analyser: Analyser, name: str, people: int
) -> None:
    analysis = analyser.analyse_photo(decode_photo((MEDIA / name).read_bytes()))

    assert len(analysis.faces) == people
    assert (analysis.faces[0].embedding is not None) == (people == 1)
