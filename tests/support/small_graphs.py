"""Graphs as small as can be, in the place of DeepFace's: same file name, same input and output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from recognition.engine.models.catalogue import Part, known_model
from recognition.engine.models.weights import weights_folder

_GRID = 4


@dataclass(frozen=True, slots=True)
class GraphShape:
    """What one of DeepFace's embedders takes and gives."""

    width: int
    height: int
    dimensions: int
    channels_first: bool = False
    batch: int | str = "n"


EMBEDDER_GRAPHS = {
    "VGG-Face": GraphShape(224, 224, 4096),
    "Facenet": GraphShape(160, 160, 128),
    "Facenet512": GraphShape(160, 160, 512),
    "OpenFace": GraphShape(96, 96, 128),
    "DeepFace": GraphShape(152, 152, 4096),
    "DeepID": GraphShape(47, 55, 160),
    "ArcFace": GraphShape(112, 112, 512),
    "SFace": GraphShape(112, 112, 128, channels_first=True, batch=1),
    "GhostFaceNet": GraphShape(112, 112, 512),
    "Buffalo_L": GraphShape(112, 112, 512, channels_first=True),
}


def embedder_graph(shape: GraphShape, *, seed: int = 1) -> bytes:
    """The means of a grid of four by four over the picture, times a random matrix."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(3 * _GRID * _GRID, shape.dimensions)).astype(np.float32)
    kernel = [shape.height // _GRID, shape.width // _GRID]
    sizes = (
        [3, shape.height, shape.width] if shape.channels_first else [shape.height, shape.width, 3]
    )
    first = (
        []
        if shape.channels_first
        else [helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2])]
    )
    nodes = [
        *first,
        helper.make_node(
            "AveragePool",
            ["image" if shape.channels_first else "planes"],
            ["grid"],
            kernel_shape=kernel,
            strides=kernel,
        ),
        helper.make_node("Flatten", ["grid"], ["values"]),
        helper.make_node("MatMul", ["values", "matrix"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [shape.batch, *sizes])],
        [
            helper.make_tensor_value_info(
                "embedding", TensorProto.FLOAT, [shape.batch, shape.dimensions]
            )
        ],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    return _as_bytes(graph)


def retinaface_graph(*, confidence: float) -> bytes:
    """Nine outputs as retina-face reads them: large faces of that confidence all over the picture.

    The finer strides find none.
    """
    nodes, outputs, constants = [], [], []
    for stride in (32, 16, 8):
        sure = confidence if stride == 32 else 0.0
        values = {
            "cls": np.array([1 - sure] * 2 + [sure] * 2, np.float32),
            "box": np.zeros(8, np.float32),
            "points": np.zeros(20, np.float32),
        }
        for kind, value in values.items():
            name = f"{kind}_{stride}"
            pooled, mean = f"pooled_{name}", f"mean_{name}"
            constants += [
                numpy_helper.from_array(value, f"value_{name}"),
                numpy_helper.from_array(np.array(0, np.float32), f"nothing_{name}"),
            ]
            nodes += [
                helper.make_node("Transpose", ["image"], [f"planes_{name}"], perm=[0, 3, 1, 2]),
                helper.make_node(
                    "AveragePool",
                    [f"planes_{name}"],
                    [pooled],
                    kernel_shape=[stride, stride],
                    strides=[stride, stride],
                ),
                helper.make_node("Transpose", [pooled], [f"back_{name}"], perm=[0, 2, 3, 1]),
                helper.make_node("ReduceMean", [f"back_{name}"], [mean], axes=[3], keepdims=1),
                helper.make_node("Mul", [mean, f"nothing_{name}"], [f"zero_{name}"]),
                helper.make_node("Add", [f"zero_{name}", f"value_{name}"], [name]),
            ]
            outputs.append(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "h", "w", len(value)])
            )
    graph = helper.make_graph(
        nodes,
        "small_retinaface",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, "height", "width", 3])],
        outputs,
        constants,
    )
    return _as_bytes(graph)


def centerface_graph(*, confidence: float) -> bytes:
    """Four outputs a quarter of the picture's size, under the names that CenterFace reads.

    Faces of one size, of that confidence, all over the picture.
    """
    values = {"537": [confidence], "538": [2.0, 2.0], "539": [0.0, 0.0], "540": [0.5] * 10}
    nodes = [
        helper.make_node("AveragePool", ["input"], ["grid"], kernel_shape=[4, 4], strides=[4, 4])
    ]
    constants, outputs = [], []
    for name, biases in values.items():
        weights = np.zeros((len(biases), 3, 1, 1), np.float32)
        constants += [
            numpy_helper.from_array(weights, f"weights_{name}"),
            numpy_helper.from_array(np.array(biases, np.float32), f"biases_{name}"),
        ]
        nodes.append(
            helper.make_node("Conv", ["grid", f"weights_{name}", f"biases_{name}"], [name])
        )
        shape = [1, len(biases), "h", "w"]
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    graph = helper.make_graph(
        nodes,
        "small_centerface",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])],
        outputs,
        constants,
    )
    return _as_bytes(graph)


def put_weights(cache_dir: Path, part: Part, name: str, content: bytes) -> Path:
    """Write a model's first file where it is looked for."""
    path = weights_folder(cache_dir) / known_model(part, name).files[0].name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _as_bytes(graph: onnx.GraphProto) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
