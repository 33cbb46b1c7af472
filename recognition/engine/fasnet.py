"""MiniFASNet, the network of DeepFace's FasNet, from its PyTorch checkpoint to ONNX.

The network is Minivision's (Silent-Face-Anti-Spoofing, Apache-2.0). ONNX Runtime runs it without
PyTorch, which takes 700 MB. Names in the checkpoint say which layers there are, and their shapes
say the rest, so that both of FasNet's networks are built by the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Floats = npt.NDArray[np.float32]

SIDE_PX = 80
CLASSES = 3

_NORMALISATION_EPSILON = 1e-5
"""PyTorch's default, which the checkpoint does not carry."""

_STAGES = ("conv_23", "conv_3", "conv_34", "conv_4", "conv_45", "conv_5")
_HALVED = ("conv1", "conv_23", "conv_34", "conv_45")
"""Layers that halve the picture; the others leave its size."""


def build_graph(checkpoint: Mapping[str, npt.NDArray[Any]]) -> onnx.ModelProto:
    """``faces`` ``(n, 80, 80, 3)`` float32 BGR of 0 to 255 to ``shares`` ``(n, 3)`` that sum to 1.

    The interface is that of the graphs that DeepFace offers. Raises ``ValueError`` where the
    checkpoint lacks a layer or has one of another shape.
    """
    graph = _Graph({name.removeprefix("module."): values for name, values in checkpoint.items()})
    value = graph.add("Transpose", ["faces"], perm=[0, 3, 1, 2])
    value = graph.convolution_block(value, "conv1")
    value = graph.convolution_block(value, "conv2_dw")
    for stage in _STAGES:
        value = graph.stage(value, stage)
    value = graph.convolution_block(value, "conv_6_sep")
    value = graph.add("Flatten", [graph.convolution(value, "conv_6_dw")])
    value = graph.fully_connected(value, "linear", followed_by="bn")
    value = graph.fully_connected(value, "prob")
    graph.add("Softmax", [value], output="shares", axis=1)
    faces = helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n", SIDE_PX, SIDE_PX, 3])
    shares = helper.make_tensor_value_info("shares", TensorProto.FLOAT, ["n", CLASSES])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "mini_fasnet", [faces], [shares], graph.initializers),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name="rollcall",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Collects ONNX nodes; batch normalisation goes into the layer before it."""

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._weights = weights

    def add(self, operator: str, inputs: list[str], *, output: str = "", **how: Any) -> str:
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **how))
        return output

    def stage(self, source: str, name: str) -> str:
        """One block that halves, or as many as the checkpoint has, each added to what it got."""
        if f"{name}.model.0.conv.conv.weight" not in self._weights:
            return self.block(source, name)
        blocks = 0
        while f"{name}.model.{blocks}.conv.conv.weight" in self._weights:
            changed = self.block(source, f"{name}.model.{blocks}")
            source = self.add("Add", [source, changed])
            blocks += 1
        return source

    def block(self, source: str, name: str) -> str:
        """Wider, over the picture channel by channel, narrower again; weighted if it says so."""
        value = self.convolution_block(source, f"{name}.conv")
        value = self.convolution_block(value, f"{name}.conv_dw", halved=name in _HALVED)
        value = self.convolution(value, f"{name}.project")
        return (
            self.weighted(value, name) if f"{name}.se_module.fc1.weight" in self._weights else value
        )

    def weighted(self, source: str, name: str) -> str:
        """Squeeze and excitation: each channel times what the whole picture says of it."""
        value = self.add("GlobalAveragePool", [source])
        value = self._convolution(value, f"{name}.se_module.fc1", f"{name}.se_module.bn1")
        value = self.add("Relu", [value])
        value = self._convolution(value, f"{name}.se_module.fc2", f"{name}.se_module.bn2")
        return self.add("Mul", [source, self.add("Sigmoid", [value])])

    def convolution_block(self, source: str, name: str, *, halved: bool = False) -> str:
        slopes = self._values(f"{name}.prelu.weight")[:, None, None]
        value = self.convolution(source, name, halved=halved or name in _HALVED)
        return self.add("PRelu", [value, self._constant(slopes)])

    def convolution(self, source: str, name: str, *, halved: bool = False) -> str:
        return self._convolution(source, f"{name}.conv", f"{name}.bn", halved=halved)

    def fully_connected(self, source: str, name: str, *, followed_by: str = "") -> str:
        weights = self._values(f"{name}.weight").T
        if not followed_by:
            return self.add("MatMul", [source, self._constant(weights)])
        gains, biases = self._normalisation(followed_by)
        product = self.add("MatMul", [source, self._constant(weights * gains)])
        return self.add("Add", [product, self._constant(biases)])

    def _convolution(
        self, source: str, name: str, normalised_by: str, *, halved: bool = False
    ) -> str:
        filters = self._values(f"{name}.weight")
        gains, biases = self._normalisation(normalised_by)
        outputs, inputs_each, side, _ = filters.shape
        # A filter of one channel belongs to a layer that looks at each channel by itself, and one
        # of 5 x 5 at the end sees all that is left of the picture.
        return self.add(
            "Conv",
            [
                source,
                self._constant(filters * gains[:, None, None, None]),
                self._constant(biases),
            ],
            strides=[2 if halved else 1] * 2,
            pads=[1 if side == 3 else 0] * 4,
            group=outputs if inputs_each == 1 else 1,
        )

    def _normalisation(self, name: str) -> tuple[Floats, Floats]:
        deviation = np.sqrt(self._values(f"{name}.running_var") + _NORMALISATION_EPSILON)
        gains = self._values(f"{name}.weight") / deviation
        return gains, self._values(f"{name}.bias") - self._values(f"{name}.running_mean") * gains

    def _values(self, name: str) -> Floats:
        if name not in self._weights:
            raise ValueError(f"the checkpoint has no {name}, expected that of a MiniFASNet")
        return np.asarray(self._weights[name], np.float32)

    def _constant(self, values: Floats) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name
