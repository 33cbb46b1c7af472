"""Passive anti-spoofing by model: FasNet, as DeepFace has it.

Two networks look at the face, one with more of what is around it, and say which share of it is
live. Their files lie where DeepFace looks for them; DeepFace's graphs and the PyTorch checkpoints
that they were made from are both taken, and neither needs PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from deepface.models.spoofing.FasNetUtils import crop

from recognition.engine import fasnet
from recognition.engine.dlib_resnet import open_session
from recognition.engine.torch_checkpoint import read_checkpoint
from recognition.engine.types import Box, EngineError, Image

LIVE_CLASS = 1
SUFFIXES = (".onnx", ".pth")


@dataclass(frozen=True, slots=True)
class FasNetPart:
    """One of the two networks: its file's name without suffix, and how much it sees.

    ``scale`` is the side of the square that it sees, in sides of the face's box.
    """

    stem: str
    scale: float


PARTS = (
    FasNetPart("2.7_80x80_MiniFASNetV2", 2.7),
    FasNetPart("4_0_0_80x80_MiniFASNetV1SE", 4.0),
)


class FasNet:
    """Both networks, ready to look.

    Raises ``EngineError`` with ``model_missing`` or ``broken_weights``, which say what to do.
    """

    def __init__(self, weights_folder: Path) -> None:
        # What is missing is told as a whole, before the first file is read.
        files = _files(weights_folder)
        self._parts = [(part, _session(file)) for part, file in zip(PARTS, files, strict=True)]

    def live_confidence(self, frame: Image, box: Box) -> float:
        """How sure the networks are that a face is live, 0 to 1; above 0.5 means yes for both.

        ``(h, w, 3)`` uint8 RGB and the face's box in it. The whole frame is needed: the border of
        a sheet or a screen tells as much as the face. 0.0 for a box without area.
        """
        if box.width <= 0 or box.height <= 0:
            return 0.0
        frame_bgr = np.ascontiguousarray(frame[..., ::-1])
        facial_area = (box.left, box.top, box.width, box.height)
        return float(np.mean([self._share(part, frame_bgr, facial_area) for part in self._parts]))

    @staticmethod
    def _share(
        part: tuple[FasNetPart, onnxruntime.InferenceSession],
        frame_bgr: Image,
        facial_area: tuple[int, int, int, int],
    ) -> float:
        network, session = part
        face = crop(frame_bgr, facial_area, network.scale, fasnet.SIDE_PX, fasnet.SIDE_PX)
        name = session.get_inputs()[0].name
        (shares,) = session.run(None, {name: face[None].astype(np.float32)})
        return float(shares[0, LIVE_CLASS])


def _files(folder: Path) -> list[Path]:
    found = [
        next((path for path in _candidates(folder, part) if path.is_file()), None) for part in PARTS
    ]
    missing = [part.stem for part, path in zip(PARTS, found, strict=True) if path is None]
    if missing:
        raise EngineError(
            "model_missing",
            f"The anti-spoofing model FasNet lacks {' and '.join(missing)} in {folder}: expected "
            f"each as {' or '.join(SUFFIXES)}. Run `manage.py fetch_models Fasnet`, bring the "
            "files by hand, or set ANTI_SPOOFING=off.",
        )
    return [path for path in found if path is not None]


def _candidates(folder: Path, part: FasNetPart) -> list[Path]:
    return [folder / f"{part.stem}{suffix}" for suffix in SUFFIXES]


def _session(path: Path) -> onnxruntime.InferenceSession:
    try:
        graph = (
            path.read_bytes()
            if path.suffix == ".onnx"
            else fasnet.build_graph(read_checkpoint(path))
        )
        session = open_session(graph)
        _try_out(session)
    except EngineError:
        raise
    except Exception as error:  # ONNX and its runtime have many kinds of their own
        raise EngineError(
            "broken_weights",
            f"{path} ({path.stat().st_size} bytes) is not a network of FasNet: {error} Delete it "
            "and run `manage.py fetch_models Fasnet`, or copy it again from its source.",
        ) from error
    return session


def _try_out(session: onnxruntime.InferenceSession) -> None:
    """Raises ``ValueError`` where a graph does not answer as FasNet does."""
    (face,) = session.get_inputs()
    grey = np.full((1, fasnet.SIDE_PX, fasnet.SIDE_PX, 3), 127, np.float32)
    (shares,) = session.run(None, {face.name: grey})
    if shares.shape != (1, fasnet.CLASSES) or not np.isclose(shares.sum(), 1, atol=1e-3):
        raise ValueError(
            f"its answer is {shares.shape} and sums to {shares.sum():.3f}, expected "
            f"(1, {fasnet.CLASSES}) and 1."
        )
