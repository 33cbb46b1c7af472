from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import dlib
import numpy as np
import onnx
import pytest

from recognition.engine import dlib_resnet
from recognition.engine.models import DlibResnetEmbedder, FaceModels
from recognition.engine.types import EngineError, Face
from tests.support.portraits import astronaut


@pytest.fixture(scope="module")
def weights() -> dlib_resnet.Weights:
    return dlib_resnet.read_weights(dlib_resnet.weights_file().read_bytes())


def cached_files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def test_the_weights_file_holds_the_network_that_dlib_describes(
    weights: dlib_resnet.Weights,
) -> None:
    shapes = [layer.filters.shape for layer in weights.convolutions]

    assert len(shapes) == 29
    assert shapes[0] == (32, 3, 7, 7)
    assert shapes[-1] == (256, 256, 3, 3)
    assert [layer.stride for layer in weights.convolutions].count(2) == 5
    assert weights.fully_connected.shape == (256, 128)


def test_the_converted_network_equals_dlibs_on_a_face(
    models: FaceModels, model_cache_dir: Path, astronaut_face: Face
) -> None:
    embedder = models.embedder
    assert isinstance(embedder, DlibResnetEmbedder)
    chip = embedder.aligned_crop(astronaut(), astronaut_face.landmarks)
    network = dlib.face_recognition_model_v1(str(dlib_resnet.weights_file()))
    session = dlib_resnet.load_session(model_cache_dir)

    expected = np.array(network.compute_face_descriptor(chip))
    found = dlib_resnet.descriptors(session, chip[None])[0]

    assert np.abs(found - expected).max() <= 1e-5


def test_a_batch_gives_what_single_crops_give(model_cache_dir: Path) -> None:
    session = dlib_resnet.load_session(model_cache_dir)
    chips = dlib_resnet.check_chips(5)

    together = dlib_resnet.descriptors(session, chips)
    alone = np.concatenate([dlib_resnet.descriptors(session, chip[None]) for chip in chips])

    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_the_cached_network_is_used_again(model_cache_dir: Path, models: FaceModels) -> None:
    before = {path: path.stat().st_mtime_ns for path in cached_files(model_cache_dir)}
    dlib_resnet.load_session(model_cache_dir)

    assert len(before) == 1
    assert {path: path.stat().st_mtime_ns for path in cached_files(model_cache_dir)} == before


@pytest.mark.parametrize("damage", ["emptied", "cut short", "one bit flipped"])
def test_a_damaged_cached_network_is_built_again(
    tmp_path: Path, model_cache_dir: Path, models: FaceModels, damage: str
) -> None:
    (good,) = cached_files(model_cache_dir)
    content = good.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    damaged = {"emptied": b"", "cut short": content[:-100], "one bit flipped": bytes(flipped)}
    (tmp_path / good.name).write_bytes(damaged[damage])

    session = dlib_resnet.load_session(tmp_path)

    assert (tmp_path / good.name).read_bytes() == content
    assert dlib_resnet.check_against_dlib(session) <= 1e-5


def test_several_workers_may_start_at_once(tmp_path: Path) -> None:
    start = (
        "import sys; from pathlib import Path; from recognition.engine import dlib_resnet; "
        "dlib_resnet.load_session(Path(sys.argv[1]))"
    )
    workers = [subprocess.Popen([sys.executable, "-c", start, str(tmp_path)]) for _ in range(3)]

    assert [worker.wait(timeout=60) for worker in workers] == [0, 0, 0]
    (path,) = cached_files(tmp_path)
    onnx.checker.check_model(onnx.load(str(path)))


def test_a_conversion_that_differs_is_refused_and_not_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: dlib_resnet.Weights
) -> None:
    wrong = replace(weights, fully_connected=weights.fully_connected * 1.001)
    monkeypatch.setattr(dlib_resnet, "read_weights", lambda content: wrong)

    with pytest.raises(EngineError, match="differs from dlib's") as refusal:
        dlib_resnet.load_session(tmp_path)

    assert refusal.value.code == "conversion_differs"
    assert cached_files(tmp_path) == []


def test_a_cache_that_cannot_be_written_does_not_stop_the_start(tmp_path: Path) -> None:
    in_the_way = tmp_path / "a-file"
    in_the_way.write_text("not a directory")

    session = dlib_resnet.load_session(in_the_way)

    assert dlib_resnet.descriptors(session, dlib_resnet.check_chips(1)).shape == (1, 128)


@pytest.mark.parametrize("length", [0, 1000, 5_000_000])
def test_weights_that_end_early_are_refused(length: int) -> None:
    content = dlib_resnet.weights_file().read_bytes()[:length]

    with pytest.raises(EngineError) as refusal:
        dlib_resnet.read_weights(content)

    assert refusal.value.code == "broken_weights"
