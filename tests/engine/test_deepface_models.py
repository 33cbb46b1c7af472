"""DeepFace's models through our choice, with small graphs in the place of its weights."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deepface import DeepFace
from deepface.commons import weight_utils
from deepface.models.face_detection.Yolo import YoloModel
from deepface.modules import modeling
from retinaface import RetinaFace
from retinaface.model import retinaface_onnx_model
from skimage import data

from recognition.engine import dlib_resnet
from recognition.engine.gallery import Gallery
from recognition.engine.models import EMBEDDED_MODEL_ID, ModelChoice, load_models
from recognition.engine.models.alignment import (
    ARCFACE_POINTS,
    WHOLE_FACE_POINTS,
    aligned_crop,
    five_points,
    similarity,
)
from recognition.engine.models.catalogue import (
    CATALOGUE,
    HOG,
    YUNET,
    Part,
    known_model,
    known_names,
)
from recognition.engine.models.deepface_models import (
    RECIPES,
    DeepFaceEmbedder,
    load_deepface_detector,
    load_deepface_embedder,
)
from recognition.engine.models.weights import keep_checksum, sha256_of, weights_folder
from recognition.engine.types import EngineError, Face
from tests.support.portraits import astronaut
from tests.support.shared import MODELS, needs_models
from tests.support.small_graphs import (
    EMBEDDER_GRAPHS,
    GraphShape,
    centerface_graph,
    embedder_graph,
    put_weights,
    retinaface_graph,
)

DEEPFACE_EMBEDDERS = sorted(modeling.AVAILABLE_MODELS["facial_recognition"])
DEEPFACE_DETECTORS = sorted(modeling.AVAILABLE_MODELS["face_detector"])


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever would download at the start fails here, loudly."""

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a model was looked for on the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


@pytest.fixture(autouse=True)
def _nothing_built_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """DeepFace keeps what it built, whichever files that was made of."""
    monkeypatch.delenv("DEEPFACE_HOME", raising=False)
    monkeypatch.delattr(modeling, "cached_models", raising=False)
    monkeypatch.delattr(RetinaFace, "model", raising=False)


def put_embedder(directory: Path, name: str) -> Path:
    """The weights of one of DeepFace's embedders, small, or dlib's own."""
    if name == "Dlib":
        return put_weights(directory, Part.EMBEDDER, name, dlib_resnet.weights_file().read_bytes())
    return put_weights(directory, Part.EMBEDDER, name, embedder_graph(EMBEDDER_GRAPHS[name]))


# ---------------------------------------------------------------- the catalogue is DeepFace's


def test_every_model_that_deepface_lists_can_be_chosen() -> None:
    assert set(DEEPFACE_EMBEDDERS) == set(known_names(Part.EMBEDDER)) - {EMBEDDED_MODEL_ID}
    assert set(DEEPFACE_DETECTORS) == set(known_names(Part.DETECTOR)) - {HOG}
    assert set(RECIPES) == set(DEEPFACE_EMBEDDERS)


def test_files_and_addresses_are_deepfaces() -> None:
    """Of every model whose addresses DeepFace keeps beside its code."""
    ours = {address for model in CATALOGUE for file in model.files for address in file.addresses}
    ours |= {
        address
        for model in CATALOGUE
        for file in model.files
        for other in file.stand_ins
        for address in other.addresses
    }

    assert set(addresses_of_deepface()) - ours == set()
    for model in CATALOGUE:
        for file in model.files:
            if not file.addresses[0].startswith("https://drive."):
                assert file.addresses[0].removesuffix(".bz2").endswith(f"/{file.name}")


def addresses_of_deepface() -> list[str]:
    import importlib

    found: list[str] = [*retinaface_onnx_model.WEIGHTS_URLS]
    for task, name, attributes in weight_utils.WEIGHT_SOURCES:
        if task == "facial_attribute":
            continue
        source = modeling.AVAILABLE_MODELS[task][name]
        module = importlib.import_module((source.get("onnx") or source["any"]).rpartition(".")[0])
        for attribute in attributes:
            addresses = getattr(module, attribute)
            found += [addresses] if isinstance(addresses, str) else addresses
    return found + [yolo.url for yolo in YoloModel]


# ---------------------------------------------------------------- embedders


@pytest.mark.parametrize("name", DEEPFACE_EMBEDDERS)
def test_every_embedder_loads_and_gives_unit_vectors_of_its_size(
    name: str, tmp_path: Path, astronaut_face: Face
) -> None:
    put_embedder(tmp_path, name)

    embedder = load_models(ModelChoice(embedder=name), model_cache_dir=tmp_path).embedder

    embedding = embedder.embed(astronaut(), astronaut_face.landmarks)
    assert embedder.model_id == name
    assert (embedding.shape, embedding.dtype) == ((embedder.dimensions,), np.float32)
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
    if name in EMBEDDER_GRAPHS:
        assert embedder.dimensions == EMBEDDER_GRAPHS[name].dimensions


@pytest.mark.parametrize("name", sorted(set(DEEPFACE_EMBEDDERS) - {"Buffalo_L"}))
def test_the_vector_of_a_crop_is_deepfaces_own(
    name: str, tmp_path: Path, astronaut_face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the embedding is the mean of the crop's and its mirror image's."""
    put_embedder(tmp_path, name)
    embedder = load_deepface_embedder(name, model_cache_dir=tmp_path)
    crop = embedder.aligned_crop(astronaut(), astronaut_face.landmarks)
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))

    def deepfaces(picture: Any) -> Any:
        (found,) = DeepFace.represent(
            np.ascontiguousarray(picture[:, :, ::-1]),
            model_name=name,
            detector_backend="skip",
            normalization=RECIPES[name].normalisation,
        )
        return np.array(found["embedding"])

    expected = (deepfaces(crop) + deepfaces(crop[:, ::-1])) / 2

    np.testing.assert_allclose(
        embedder.embed(astronaut(), astronaut_face.landmarks),
        expected / np.linalg.norm(expected),
        atol=1e-5,
    )


def test_buffalo_is_shown_what_insightface_shows_it(tmp_path: Path, astronaut_face: Face) -> None:
    """RGB, channels first, -1 to 1. A graph that gives its first 512 inputs back tells."""
    put_weights(tmp_path, Part.EMBEDDER, "Buffalo_L", first_inputs_graph())
    embedder = load_deepface_embedder("Buffalo_L", model_cache_dir=tmp_path)
    crop = embedder.aligned_crop(astronaut(), astronaut_face.landmarks)

    (found,) = embedder.vectors([crop])

    expected = (crop[:, :, 0].astype(np.float64).ravel()[:512] - 127.5) / 127.5
    np.testing.assert_allclose(found, expected, atol=1e-5)


def first_inputs_graph() -> bytes:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("Slice", ["flat", "zero", "count", "one"], ["embedding"]),
        ],
        "first_inputs",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 512])],
        [
            numpy_helper.from_array(np.array([value], np.int64), name)
            for name, value in (("zero", 0), ("count", 512), ("one", 1))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def test_dlib_by_deepface_sees_the_person_of_our_default(
    tmp_path: Path, astronaut_face: Face
) -> None:
    """The same network: dlib's code runs it here, ONNX Runtime there."""
    put_embedder(tmp_path, "Dlib")

    embedding = load_deepface_embedder("Dlib", model_cache_dir=tmp_path).embed(
        astronaut(), astronaut_face.landmarks
    )

    np.testing.assert_allclose(embedding, astronaut_face.embedding, atol=1e-5)


def test_two_embedders_serve_side_by_side(tmp_path: Path, model_cache_dir: Path) -> None:
    from recognition.engine.analysis import Analyser

    shutil.copytree(model_cache_dir, tmp_path, dirs_exist_ok=True)
    put_embedder(tmp_path, "Facenet512")
    both = load_models(
        ModelChoice(embedder="Facenet512", previous_embedder=EMBEDDED_MODEL_ID),
        model_cache_dir=tmp_path,
    )

    face = Analyser(both).analyse_photo(astronaut()).main_face

    assert face is not None
    assert face.embedding is not None
    assert face.previous_embedding is not None
    assert (face.embedding.shape, face.previous_embedding.shape) == ((512,), (128,))


def test_templates_of_another_model_are_refused(tmp_path: Path) -> None:
    """By the gallery, which says what to do."""
    put_embedder(tmp_path, "Facenet512")
    embedder = load_deepface_embedder("Facenet512", model_cache_dir=tmp_path)
    of_facenet = np.ones(128, np.float32) / np.sqrt(128)

    with pytest.raises(EngineError, match=r"\(128,\), expected \(512,\) of .*Facenet512.*re-enrol"):
        Gallery.of({1: of_facenet}, model_id=embedder.model_id, dimensions=embedder.dimensions)


# ---------------------------------------------------------------- wrong files


@pytest.mark.parametrize("name", DEEPFACE_EMBEDDERS)
def test_a_missing_file_is_told_at_the_start_and_not_fetched(name: str, tmp_path: Path) -> None:
    (file,) = known_model(Part.EMBEDDER, name).files

    with pytest.raises(EngineError) as refusal:
        load_models(ModelChoice(embedder=name), model_cache_dir=tmp_path)

    assert refusal.value.code == "model_missing"
    for words in (
        f"{file.name}, the weights of {name}, is missing",
        f"`manage.py fetch_models {name}`",
        file.addresses[0],
        str(weights_folder(tmp_path) / file.name),
    ):
        assert words in str(refusal.value)
    assert not (weights_folder(tmp_path) / file.name).exists()


@pytest.mark.parametrize("name", DEEPFACE_EMBEDDERS)
def test_a_truncated_file_is_told_at_the_start(name: str, tmp_path: Path) -> None:
    path = put_embedder(tmp_path, name)
    size = path.stat().st_size // 2
    path.write_bytes(path.read_bytes()[:size])

    with pytest.raises(EngineError) as refusal:
        load_models(ModelChoice(embedder=name), model_cache_dir=tmp_path)

    assert refusal.value.code == "broken_weights"
    assert f"{path} ({size} bytes) cannot be used" in str(refusal.value)
    assert f"Delete it and run `manage.py fetch_models {name}`" in str(refusal.value)


@pytest.mark.parametrize("name", sorted(EMBEDDER_GRAPHS))
def test_the_file_of_another_model_is_told_at_the_start(name: str, tmp_path: Path) -> None:
    shape = EMBEDDER_GRAPHS[name]
    other = GraphShape(
        shape.width, shape.height, 77, channels_first=shape.channels_first, batch=shape.batch
    )
    path = put_weights(tmp_path, Part.EMBEDDER, name, embedder_graph(other))

    told = f"it gives 77 values of a face, expected {shape.dimensions}"
    with pytest.raises(EngineError, match=told) as refusal:
        load_deepface_embedder(name, model_cache_dir=tmp_path)

    assert refusal.value.code == "broken_weights"
    assert str(path) in str(refusal.value)


def test_a_file_that_changed_since_it_was_fetched_is_told(tmp_path: Path) -> None:
    """Although it is a graph of the right shape."""
    path = put_embedder(tmp_path, "Facenet")
    keep_checksum(path, sha256_of(path))
    load_deepface_embedder("Facenet", model_cache_dir=tmp_path)
    fetched = sha256_of(path)
    path.write_bytes(embedder_graph(EMBEDDER_GRAPHS["Facenet"], seed=2))

    with pytest.raises(EngineError, match=f"SHA-256 is {sha256_of(path)}, expected {fetched}"):
        load_deepface_embedder("Facenet", model_cache_dir=tmp_path)


def test_a_begun_download_is_told(tmp_path: Path) -> None:
    path = weights_folder(tmp_path) / "facenet_weights.onnx.part"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 1234)

    with pytest.raises(EngineError, match=r"is not complete \(1234 bytes so far\)"):
        load_deepface_embedder("Facenet", model_cache_dir=tmp_path)


def test_the_environment_says_where_weights_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_embedder(tmp_path / "elsewhere", "OpenFace")
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "elsewhere"))

    embedder = load_deepface_embedder("OpenFace", model_cache_dir=tmp_path / "here")

    assert isinstance(embedder, DeepFaceEmbedder)


# ---------------------------------------------------------------- detectors


def test_retinaface_loads_and_finds(tmp_path: Path) -> None:
    put_weights(tmp_path, Part.DETECTOR, "retinaface", retinaface_graph(confidence=0.95))

    detector = load_deepface_detector("retinaface", model_cache_dir=tmp_path)

    found = detector.detect(np.full((96, 96, 3), 90, np.uint8))
    assert found
    assert {round(detection.confidence, 2) for detection in found} == {0.95}
    assert all(detection.box.width == detection.box.height for detection in found)


def test_retinaface_leaves_out_what_is_not_sure(tmp_path: Path) -> None:
    put_weights(tmp_path, Part.DETECTOR, "retinaface", retinaface_graph(confidence=0.5))

    detector = load_deepface_detector("retinaface", model_cache_dir=tmp_path)

    assert detector.detect_main(np.full((96, 96), 90, np.uint8)) == []


def test_centerface_loads_and_finds_what_is_sure(tmp_path: Path) -> None:
    picture = np.full((96, 96, 3), 90, np.uint8)
    put_weights(tmp_path, Part.DETECTOR, "centerface", centerface_graph(confidence=0.9))
    found = load_deepface_detector("centerface", model_cache_dir=tmp_path).detect(picture)
    put_weights(tmp_path, Part.DETECTOR, "centerface", centerface_graph(confidence=0.2))
    unsure = load_deepface_detector("centerface", model_cache_dir=tmp_path).detect(picture)

    assert {round(detection.confidence, 2) for detection in found} == {0.9}
    assert unsure == []


def test_a_cascade_that_opencv_cannot_read_is_told_at_the_start(tmp_path: Path) -> None:
    """It would say nothing, and find nobody."""
    of_another_kind = Path(data.lbp_frontal_face_cascade_filename()).read_bytes()
    for file in known_model(Part.DETECTOR, "opencv").files:
        path = weights_folder(tmp_path) / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(of_another_kind)

    with pytest.raises(EngineError, match="OpenCV reads no Haar cascade in it") as refusal:
        load_deepface_detector("opencv", model_cache_dir=tmp_path)

    assert refusal.value.code == "broken_weights"


def test_dlib_by_deepface_finds_the_face_that_ours_finds(
    tmp_path: Path, astronaut_face: Face
) -> None:
    weights = dlib_resnet.model_file("shape_predictor_5_face_landmarks.dat").read_bytes()
    put_weights(tmp_path, Part.DETECTOR, "dlib", weights)

    found = load_deepface_detector("dlib", model_cache_dir=tmp_path).detect(astronaut())

    assert max(detection.box.iou(astronaut_face.box) for detection in found) > 0.7


@pytest.mark.parametrize("name", ["retinaface", "centerface", "dlib", "opencv"])
def test_a_detectors_broken_file_is_told_at_the_start(name: str, tmp_path: Path) -> None:
    for file in known_model(Part.DETECTOR, name).files:
        path = weights_folder(tmp_path) / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"<html>not found</html>")

    with pytest.raises(EngineError, match=r"\(22 bytes\) cannot be used") as refusal:
        load_deepface_detector(name, model_cache_dir=tmp_path)

    assert refusal.value.code == "broken_weights"


def without_package(name: str) -> bool:
    return not known_model(Part.DETECTOR, name).packages


@pytest.mark.parametrize("name", sorted(set(filter(without_package, DEEPFACE_DETECTORS)) - {YUNET}))
def test_a_detectors_missing_file_is_told_at_the_start(name: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=f"`manage.py fetch_models {name}`") as refusal:
        load_deepface_detector(name, model_cache_dir=tmp_path)

    assert refusal.value.code == "model_missing"


@pytest.mark.parametrize(
    ("name", "package"),
    [
        (name, package)
        for name in DEEPFACE_DETECTORS
        for package in known_model(Part.DETECTOR, name).packages
    ],
)
def test_a_missing_package_is_told_at_the_start(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda found: None)

    with pytest.raises(EngineError, match=f"{name} needs the package {package}") as refusal:
        load_deepface_detector(name, model_cache_dir=tmp_path)

    assert refusal.value.code == "package_missing"


# ---------------------------------------------------------------- anti-spoofing


def test_without_its_files_anti_spoofing_is_told_at_the_start(
    tmp_path: Path, model_cache_dir: Path
) -> None:
    shutil.copytree(model_cache_dir, tmp_path, dirs_exist_ok=True)
    with pytest.raises(EngineError, match="fetch_models Fasnet") as refusal:
        load_models(ModelChoice(anti_spoofing=True), model_cache_dir=tmp_path)

    assert refusal.value.code == "model_missing"


@needs_models
def test_anti_spoofing_loads_from_the_checkpoints_too(
    tmp_path: Path, model_cache_dir: Path, astronaut_face: Face
) -> None:
    shutil.copytree(model_cache_dir, tmp_path, dirs_exist_ok=True)
    folder = weights_folder(tmp_path)
    folder.mkdir(parents=True)
    for checkpoint in MODELS.glob("*.pth"):
        shutil.copy(checkpoint, folder)

    models = load_models(ModelChoice(anti_spoofing=True), model_cache_dir=tmp_path)

    assert models.anti_spoofing is not None
    assert 0 <= models.anti_spoofing.live_confidence(astronaut(), astronaut_face.box) <= 1


# ---------------------------------------------------------------- alignment


def test_a_face_lies_where_the_network_expects_it(astronaut_face: Face) -> None:
    for points in (ARCFACE_POINTS, WHOLE_FACE_POINTS):
        placed = similarity(five_points(astronaut_face.landmarks), points * 112)
        found = five_points(astronaut_face.landmarks) @ placed[:, :2].T + placed[:, 2]

        assert np.abs(found - points * 112).max() < 6


def test_a_similarity_is_found_from_points_worked_out_by_hand() -> None:
    """A quarter turn clockwise, twice as large, shifted by (10, 20)."""
    points = np.array([(0, 0), (1, 0), (0, 1)], np.float32)
    target = np.array([(10, 20), (10, 22), (8, 20)], np.float32)

    np.testing.assert_allclose(similarity(points, target), [[0, -2, 10], [2, 0, 20]], atol=1e-12)


def test_points_that_fell_together_are_shifted_only() -> None:
    points = np.zeros((5, 2), np.float32)

    moved = similarity(points, WHOLE_FACE_POINTS)

    np.testing.assert_allclose(moved[:, :2], np.eye(2))
    assert np.isfinite(moved).all()


def test_a_narrow_crop_is_the_middle_of_a_square_one(astronaut_face: Face) -> None:
    """DeepID's 47 x 55."""
    square = aligned_crop(
        astronaut(), astronaut_face.landmarks, WHOLE_FACE_POINTS, width=55, height=55
    )
    narrow = aligned_crop(
        astronaut(), astronaut_face.landmarks, WHOLE_FACE_POINTS, width=47, height=55
    )

    assert narrow.shape == (55, 47, 3)
    np.testing.assert_allclose(narrow, square[:, 4:51], atol=1)
