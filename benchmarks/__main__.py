"""``python -m benchmarks``: embedding, identification and liveness, against named peers.

One run, side by side, one thread each, A B A B. Differing results end the run with an error;
a missed goal is printed as missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import dlib
import numpy as np

from benchmarks import api, kiosks, peers, people
from benchmarks.measuring import Timing, take_turns
from recognition.engine import dlib_resnet
from recognition.engine.analysis import Analyser
from recognition.engine.gallery import Gallery, fuse, identify
from recognition.engine.models import (
    DlibResnetEmbedder,
    FaceModels,
    ModelChoice,
    load_models,
)
from recognition.engine.types import Box, Embedding, FrameRequest, Image

OURS = "Rollcall"
FOLLOWED = "Rollcall, face followed"
LARGEST_DIFFERENCE = 1e-5
SEARCHED = (30, 300, 10_000)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; ``ratio`` is the peer's median over ours."""

    what: str
    who: str
    timing: Timing
    ratio: float | None = None
    goal: str = ""

    def __str__(self) -> str:
        ratio = f"{self.ratio:7.1f}x" if self.ratio is not None else " " * 8
        return (
            f"{self.what:<34} {self.who:<24} {self.timing.median_ms:9.2f} "
            f"{self.timing.p95_ms:9.2f} {ratio}  {self.goal}"
        )


def embedding_rows(
    models: FaceModels, cache: Path, deepface: peers.DeepFaceDlib, *, rounds: int
) -> list[Row]:
    """(a) One aligned crop through the network, and that the results are equal."""
    what = "(a) embedding of a crop"
    session = dlib_resnet.load_session(cache)
    network = dlib.face_recognition_model_v1(str(dlib_resnet.weights_file()))
    chip = _aligned_crop(models)
    expected = np.array(network.compute_face_descriptor(chip))
    found = dlib_resnet.descriptors(session, chip[None])[0]
    _assert_equal(found, expected, "dlib.face_recognition_model_v1")
    represented, pixels = deepface.describe_crop(chip)
    found = dlib_resnet.descriptors(session, np.ascontiguousarray(pixels)[None])[0]
    _assert_equal(found, represented, 'DeepFace.represent(model_name="Dlib")')
    changed = np.count_nonzero(pixels != chip) / chip.size
    print(f"    (of what DeepFace gives the network: it cuts {changed:.1%} of the values by one)")

    contestants: dict[str, Callable[[int], object]] = {
        OURS: lambda turn: dlib_resnet.descriptors(session, chip[None]),
        "dlib": lambda turn: network.compute_face_descriptor(chip),
        peers.DEEPFACE: lambda turn: deepface.describe_crop(chip),
    }
    timings = take_turns(contestants, rounds=rounds)
    return _rows(what, timings, {"dlib": 12})


def identification_rows(
    analyser: Analyser, deepface: peers.DeepFaceDlib, faces: Path | None, *, rounds: int
) -> list[Row]:
    """(b) Detect, landmarks, embed and match among 1,000, from a JPEG of 1280 × 720.

    Once with the whole frame searched, and once as in a check-in, where the face of the last frame
    tells where to look; the peers always search the whole frame.
    """
    what = "(b) identify in 1280x720, N=1000"
    cast = people.people_in(faces) if faces else [people.astronaut()]
    fillers = list(islice(_fillers(analyser, faces, {p.name for p in cast}), people.GALLERY_SIZE))
    shots = [
        (number, frame)
        for number, person in enumerate(cast)
        for frame in people.frames_of(person, analyser, width=1280, height=720)
    ]
    if not shots:
        raise SystemExit("No usable face: give --faces a folder of <person>/*.jpg")
    searches: dict[str, Callable[[bytes], int]] = {
        OURS: _our_search(analyser, cast, fillers, FrameRequest(embed=True)),
        FOLLOWED: _our_search(
            analyser,
            cast,
            fillers,
            FrameRequest(near=_last_box(analyser, shots[0][1]), count_faces=False, embed=True),
        ),
        peers.FACE_RECOGNITION: _peer_search(peers.FaceRecognition(), cast, fillers),
        peers.DEEPFACE: _peer_search(deepface, cast, fillers),
    }
    for number, frame in shots:
        answers = {name: search(frame) for name, search in searches.items()}
        assert set(answers.values()) == {number}, (
            f"identities differ: {answers}, expected {number} ({cast[number].name}) from all"
        )
    print(
        f"(b) {len(shots)} frames of {len(cast)} people among {people.GALLERY_SIZE} templates: "
        "all name the right person on each"
    )

    def on_each_frame(search: Callable[[bytes], int]) -> Callable[[int], int]:
        return lambda turn: search(shots[turn % len(shots)][1])

    timings = take_turns(
        {name: on_each_frame(search) for name, search in searches.items()}, rounds=rounds
    )
    return _rows(what, timings, {peers.FACE_RECOGNITION: 20, peers.DEEPFACE: 40})


def liveness_rows(analyser: Analyser, *, rounds: int) -> list[Row]:
    """(c) One frame of 640 × 480 without embedding, the region of interest warm."""
    frames = people.frames_of(people.astronaut(), analyser, width=640, height=480)
    request = FrameRequest(near=_last_box(analyser, frames[0]), count_faces=False)
    assert all(analyser.analyse_frame(frame, request).faces for frame in frames)
    timing = take_turns(
        {OURS: lambda turn: analyser.analyse_frame(frames[turn % len(frames)], request)},
        rounds=rounds,
    )[OURS]
    goal = f"goal <= 8 ms: {'met' if timing.median_ms <= 8 else 'missed'}"
    return [Row("(c) liveness frame, 640x480", OURS, timing, goal=goal)]


def challenge_rows(analyser: Analyser, *, rounds: int) -> list[Row]:
    """(d) The same frame by what the dialogue asks for while somebody proves to be alive."""
    frames = people.frames_of(people.astronaut(), analyser, width=640, height=480)
    near = _last_box(analyser, frames[0])
    requests = {
        "search the whole frame": FrameRequest(),
        "follow": FrameRequest(near=near, count_faces=False),
        "follow, cues": FrameRequest(near=near, count_faces=False, cues=True),
        "follow, cues, embed": FrameRequest(near=near, count_faces=False, cues=True, embed=True),
    }

    def asking(request: FrameRequest) -> Callable[[int], object]:
        return lambda turn: analyser.analyse_frame(frames[turn % len(frames)], request)

    timings = take_turns({name: asking(one) for name, one in requests.items()}, rounds=rounds)
    return [Row("(d) challenge frame, 640x480", name, one) for name, one in timings.items()]


def search_rows(dimensions: int, *, rounds: int) -> list[Row]:
    """(e) Five embeddings fused and searched, without the pictures, by the gallery's size."""
    random = np.random.default_rng(1)

    def searching(size: int) -> Callable[[int], object]:
        rows = random.normal(size=(size, dimensions)).astype(np.float32)
        gallery = Gallery.of(dict(enumerate(rows)), model_id="random", dimensions=dimensions)
        seen = [rows[0] + 0.1 * random.normal(size=dimensions) for _frame in range(5)]
        frames = [frame.astype(np.float32) for frame in seen]
        return lambda turn: identify(gallery, fuse(frames), threshold=0.9, margin=0.01)

    timings = take_turns({f"N={size}": searching(size) for size in SEARCHED}, rounds=rounds)
    return [Row("(e) fuse 5, identify", name, one) for name, one in timings.items()]


def _our_search(
    analyser: Analyser,
    cast: list[people.Person],
    fillers: list[Embedding],
    request: FrameRequest,
) -> Callable[[bytes], int]:
    embedder = analyser.models.embedder
    enrolled = {}
    for number, person in enumerate(cast):
        face = people.usable_face(analyser, person.portrait)
        if face is None or face.embedding is None:
            raise SystemExit(f"{person.name} has no usable first picture: choose other --faces")
        enrolled[number] = face.embedding
    gallery: Gallery = people.gallery_of(
        enrolled, fillers, model_id=embedder.model_id, dimensions=embedder.dimensions
    )

    def search(jpeg: bytes) -> int:
        face = analyser.analyse_frame(jpeg, request).main_face
        assert face is not None, "Rollcall found no face"
        assert face.embedding is not None
        found = identify(gallery, face.embedding, threshold=-1.0, margin=0.0)
        assert found.template_id is not None
        return found.template_id

    return search


def _last_box(analyser: Analyser, jpeg: bytes) -> Box:
    face = analyser.analyse_frame(jpeg, FrameRequest()).main_face
    assert face is not None, "Rollcall found no face"
    return face.box


def _peer_search(
    peer: peers.Peer, cast: list[people.Person], fillers: list[Embedding]
) -> Callable[[bytes], int]:
    """The nearest by Euclidean distance, as both libraries do it."""
    enrolled = [peer.describe(people.as_jpeg(person.portrait)) for person in cast]
    matrix = np.array([*enrolled, *fillers])[: people.GALLERY_SIZE]

    def search(jpeg: bytes) -> int:
        distances = np.linalg.norm(matrix - peer.describe(jpeg), axis=1)
        return int(np.argmin(distances))

    return search


def _fillers(analyser: Analyser, faces: Path | None, without: set[str]) -> Iterator[Embedding]:
    if faces is None:
        return people.random_fillers(analyser.models.embedder.dimensions)
    return people.real_fillers(faces, analyser, without=without)


def _aligned_crop(models: FaceModels) -> Image:
    embedder = models.embedder
    assert isinstance(embedder, DlibResnetEmbedder)
    portrait = people.astronaut().portrait
    face = people.usable_face(Analyser(models), portrait)
    assert face is not None
    return embedder.aligned_crop(portrait, face.landmarks)


def _assert_equal(found: np.ndarray, expected: np.ndarray, name: str) -> None:
    difference = float(np.abs(found - expected).max())
    assert difference <= LARGEST_DIFFERENCE, (
        f"the embedding differs from {name} by {difference:.2g}, "
        f"expected at most {LARGEST_DIFFERENCE:g}"
    )
    print(f"(a) largest difference to {name} on the same aligned crop: {difference:.1e}")


def _rows(what: str, timings: dict[str, Timing], goals: dict[str, float]) -> list[Row]:
    """``goals``: how many times slower than our first row a peer is wanted to be."""
    ours = timings[OURS].median_ms
    followed = timings.get(FOLLOWED)
    rows = []
    for name, timing in timings.items():
        if name in (OURS, FOLLOWED):
            rows.append(Row(what, name, timing))
            continue
        ratio = timing.median_ms / ours
        least = goals.get(name)
        notes = [f"goal >= {least:g}x: {'met' if ratio >= least else 'missed'}"] if least else []
        if followed is not None:
            notes.append(f"({timing.median_ms / followed.median_ms:.1f}x with the face followed)")
        rows.append(Row(what, name, timing, ratio, " ".join(notes)))
    return rows


def main() -> None:
    if sys.argv[1:2] == ["kiosks"]:
        kiosks.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["api"]:
        api.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--faces",
        type=Path,
        help="a folder of <person>/*.jpg (such as LFW): five of them stand at the kiosk, the "
        "others fill the gallery. Without it: one portrait among random templates.",
    )
    parser.add_argument("--rounds", type=int, default=20, help="turns of the slow rows (20)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as temporary:
        cache = Path(temporary) / "models"
        models = load_models(ModelChoice(), model_cache_dir=cache)
        analyser = Analyser(models)
        deepface = peers.DeepFaceDlib(Path(temporary) / "deepface")
        rows = [
            *embedding_rows(models, cache, deepface, rounds=3 * arguments.rounds),
            *identification_rows(analyser, deepface, arguments.faces, rounds=arguments.rounds),
            *liveness_rows(analyser, rounds=10 * arguments.rounds),
            *challenge_rows(analyser, rounds=5 * arguments.rounds),
            *search_rows(models.embedder.dimensions, rounds=10 * arguments.rounds),
        ]
    print()
    print(f"{'':<34} {'':<24} {'median ms':>9} {'p95 ms':>9} {'ours is':>8}")
    print("\n".join(str(row) for row in rows))


if __name__ == "__main__":
    main()
