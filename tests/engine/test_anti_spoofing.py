"""FasNet from its checkpoints: read without PyTorch, the same as DeepFace's, and clear errors."""

from __future__ import annotations

import collections
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from recognition.engine import fasnet
from recognition.engine.analysis import Analyser
from recognition.engine.anti_spoofing import PARTS, FasNet
from recognition.engine.models import FaceModels
from recognition.engine.torch_checkpoint import read_checkpoint
from recognition.engine.types import Box, EngineError, FrameRequest, Image
from tests.support.portraits import as_jpeg, astronaut_frame
from tests.support.shared import MODELS, needs_models

CHECKPOINTS = MODELS
FIRST, SECOND = (f"{part.stem}.pth" for part in PARTS)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder of our own with both checkpoints."""
    for name in (FIRST, SECOND):
        shutil.copyfile(CHECKPOINTS / name, tmp_path / name)
    return tmp_path


@pytest.fixture(scope="module")
def frame() -> Image:
    return astronaut_frame(640, 480, face_share=0.4)


FACE = Box(224, 144, 416, 336)


# Reading


@needs_models
@pytest.mark.parametrize(("name", "tensors"), [(FIRST, 334), (SECOND, 370)])
def test_a_checkpoint_is_read_without_pytorch(name: str, tensors: int) -> None:
    checkpoint = read_checkpoint(CHECKPOINTS / name)

    assert len(checkpoint) == tensors
    assert checkpoint["module.conv1.conv.weight"].shape == (32, 3, 3, 3)
    assert checkpoint["module.prob.weight"].shape == (3, 128)
    assert all(np.isfinite(values).all() for values in checkpoint.values())


def _torch() -> object:
    """PyTorch, which is not among our requirements; in CI it is installed for this."""
    if os.environ.get("CI"):
        import torch

        return torch
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")


@needs_models
@pytest.mark.parametrize("name", [FIRST, SECOND])
def test_the_tensors_are_those_that_pytorch_reads(name: str) -> None:
    torch = _torch()
    theirs = torch.load(CHECKPOINTS / name, map_location="cpu")  # type: ignore[attr-defined]

    ours = read_checkpoint(CHECKPOINTS / name)

    assert list(ours) == list(theirs)
    for key, values in ours.items():
        assert np.array_equal(values, theirs[key].numpy())


@needs_models
def test_the_answer_is_that_of_deepfaces_own_fasnet(
    weights: Path, frame: Image, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _torch()
    home = tmp_path / "home"
    shutil.copytree(weights, home / ".deepface" / "weights", ignore=lambda *_: {"home"})
    monkeypatch.setenv("DEEPFACE_HOME", str(home))
    from deepface.models.spoofing.pytorch.FasNet import Fasnet

    theirs = Fasnet()
    ours = FasNet(weights)
    for box in (FACE, Box(200, 130, 380, 340), Box(0, 0, 120, 160)):
        area = (box.left, box.top, box.width, box.height)
        live, share = theirs.analyze(np.ascontiguousarray(frame[..., ::-1]), area)
        confidence = ours.live_confidence(frame, box)
        assert live == (confidence >= 0.5) or share < 0.5
        if live:
            assert confidence == pytest.approx(share, abs=1e-5)


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def test_a_file_that_would_run_something_is_refused(tmp_path: Path) -> None:
    """A pickle may call anything; only what puts tensors together is looked up."""
    path = tmp_path / FIRST
    with path.open("wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {}, Harmful()):
            pickle.dump(part, file, protocol=2)

    with pytest.raises(EngineError, match=r"asks for \w+\.system") as refused:
        read_checkpoint(path)
    assert refused.value.code == "broken_weights"


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x02", b"PK\x03\x04 a zip", b"<html>404: Not Found</html>", pickle.dumps([1, 2])],
)
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FIRST
    path.write_bytes(content)

    with pytest.raises(EngineError, match=FIRST) as refused:
        read_checkpoint(path)
    assert refused.value.code == "broken_weights"
    assert "fetch_models" in str(refused.value)


def test_a_checkpoint_of_something_else_than_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / FIRST
    with path.open("wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {}, collections.OrderedDict(a=1), []):
            pickle.dump(part, file, protocol=2)

    with pytest.raises(EngineError, match="something else than a dict of tensors"):
        read_checkpoint(path)


@needs_models
@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(weights: Path, share: float) -> None:
    path = weights / SECOND
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])

    with pytest.raises(EngineError) as refused:
        FasNet(weights)
    assert refused.value.code == "broken_weights"
    assert SECOND in str(refused.value)


# Loading


@needs_models
def test_missing_files_are_named_together_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as refused:
        FasNet(tmp_path)

    assert refused.value.code == "model_missing"
    for said in (*(part.stem for part in PARTS), str(tmp_path), "fetch_models", "ANTI_SPOOFING"):
        assert said in str(refused.value)


@needs_models
def test_only_what_is_missing_is_named(weights: Path) -> None:
    (weights / FIRST).unlink()

    with pytest.raises(EngineError, match=PARTS[0].stem) as refused:
        FasNet(weights)
    assert PARTS[1].stem not in str(refused.value)


@needs_models
def test_the_graphs_of_deepface_are_taken_as_well(weights: Path, frame: Image) -> None:
    """Its ``.onnx`` files take and give what ours do."""
    expected = FasNet(weights).live_confidence(frame, FACE)
    for part in PARTS:
        checkpoint = weights / f"{part.stem}.pth"
        graph = fasnet.build_graph(read_checkpoint(checkpoint))
        (weights / f"{part.stem}.onnx").write_bytes(graph.SerializeToString())
        checkpoint.unlink()

    assert FasNet(weights).live_confidence(frame, FACE) == expected


def test_a_graph_that_answers_otherwise_is_refused(tmp_path: Path) -> None:
    """A network of the right name with 2 classes instead of 3."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("ReduceMean", ["faces"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["shares"]),
    ]
    faces = helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n", 80, 80, 3])
    shares = helper.make_tensor_value_info("shares", TensorProto.FLOAT, ["n", 2])
    weights = numpy_helper.from_array(np.ones((3, 2), np.float32), "weights")
    graph = helper.make_graph(nodes, "other", [faces], [shares], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for part in PARTS:
        (tmp_path / f"{part.stem}.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(EngineError, match=r"its answer is \(1, 2\)") as refused:
        FasNet(tmp_path)
    assert refused.value.code == "broken_weights"


@needs_models
def test_a_checkpoint_without_a_layer_says_which(weights: Path) -> None:
    checkpoint = dict(read_checkpoint(weights / FIRST))
    del checkpoint["module.conv_3.model.1.project.conv.weight"]

    with pytest.raises(ValueError, match=r"no conv_3\.model\.1\.project\.conv\.weight"):
        fasnet.build_graph(checkpoint)


# Answering


@needs_models
def test_a_portrait_is_live_and_a_small_print_of_it_in_an_empty_frame_is_not(
    weights: Path, frame: Image
) -> None:
    model = FasNet(weights)

    assert model.live_confidence(frame, FACE) > 0.5
    assert model.live_confidence(np.full_like(frame, 128), FACE) < 0.5


@needs_models
def test_a_box_without_area_is_not_live(weights: Path, frame: Image) -> None:
    assert FasNet(weights).live_confidence(frame, Box(10, 10, 10, 40)) == 0.0


@needs_models
def test_a_box_that_crosses_the_edge_is_looked_at_all_the_same(weights: Path, frame: Image) -> None:
    assert 0.0 <= FasNet(weights).live_confidence(frame, Box(-40, -20, 150, 200)) <= 1.0


class Sure:
    def live_confidence(self, frame: Image, box: Box) -> float:
        assert frame.shape == (480, 640, 3)
        assert box.area > 0
        return 0.75


@pytest.mark.parametrize(("asked", "expected"), [(True, 0.75), (False, None)])
def test_the_model_is_asked_only_where_the_request_says_so(
    models: FaceModels, frame: Image, asked: bool, expected: float | None
) -> None:
    from dataclasses import replace

    analyser = Analyser(replace(models, anti_spoofing=Sure()))

    analysis = analyser.analyse_frame(as_jpeg(frame), FrameRequest(spoof_model=asked))

    assert analysis.live_confidence == expected


def test_where_no_model_is_loaded_there_is_no_confidence(analyser: Analyser, frame: Image) -> None:
    analysis = analyser.analyse_frame(as_jpeg(frame), FrameRequest(spoof_model=True))

    assert analysis.live_confidence is None


@needs_models
def test_the_network_runs_on_one_thread(weights: Path) -> None:
    """Parallelism comes from the worker processes."""
    from recognition.engine import anti_spoofing

    session = anti_spoofing._session(weights / FIRST)

    assert isinstance(session, onnxruntime.InferenceSession)
    assert session.get_session_options().intra_op_num_threads == 1
