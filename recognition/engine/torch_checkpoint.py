"""Tensors out of a file that ``torch.save`` wrote, without PyTorch and without running its code.

Such a file is a pickle, which may call anything; here nothing can be called but what puts tensors
together. Only the layout of PyTorch before 1.6 is read, in which older checkpoints are kept.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from recognition.engine.types import EngineError

Tensors = Mapping[str, npt.NDArray[Any]]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


def read_checkpoint(path: Path) -> Tensors:
    """The tensors of a state dict by name, as PyTorch's own ``load`` gives them.

    Raises ``EngineError`` with ``broken_weights`` for a file that is cut off, of another layout or
    that holds anything but tensors.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError) as error:
        raise _broken(path, repr(error)) from error
    except (TypeError, ValueError, UnicodeDecodeError) as error:
        raise _broken(path, str(error)) from error


def _read(file: BinaryIO) -> Tensors:
    magic, protocol, _ = (_Unpickler(file, {}).load() for _ in range(3))
    if (magic, protocol) != (_MAGIC, _PROTOCOL):
        raise ValueError(f"it begins with {magic!r} and {protocol!r}, not as a checkpoint does")
    storages: dict[str, npt.NDArray[Any]] = {}
    loaded = _Unpickler(file, storages).load()
    keys = _Unpickler(file, {}).load()
    if sorted(keys) != sorted(storages):
        raise ValueError("its tensors and its storages do not belong together")
    for key in keys:
        _fill(storages[key], file)
    if not isinstance(loaded, dict) or not all(
        isinstance(tensor, np.ndarray) for tensor in loaded.values()
    ):
        raise ValueError("it holds something else than a dict of tensors")
    return loaded


def _fill(storage: npt.NDArray[Any], file: BinaryIO) -> None:
    count = int.from_bytes(file.read(8), "little")
    content = file.read(storage.nbytes)
    if count != storage.size or len(content) != storage.nbytes:
        raise ValueError(
            f"a storage of {count} values and {len(content)} bytes, expected {storage.size} "
            f"values in {storage.nbytes} bytes: it is cut off or damaged"
        )
    storage[:] = np.frombuffer(content, storage.dtype)


class _Unpickler(pickle.Unpickler):
    """Storages are made empty when they are named, because their values come after the pickle."""

    def __init__(self, file: BinaryIO, storages: dict[str, npt.NDArray[Any]]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no tensor needs")

    def persistent_load(self, pid: Any) -> npt.NDArray[Any]:
        kind, dtype, key, _, count, _ = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"it refers to a {kind!r}, expected a storage")
        return self._storages.setdefault(key, np.zeros(count, dtype))


def _tensor(
    storage: npt.NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> npt.NDArray[Any]:
    """A view into a storage; ``stride`` counts values. A view beyond its end is refused."""
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if min(offset, *size, *stride, 0) < 0 or last >= storage.size:
        raise ValueError(f"a tensor of shape {size} reaches beyond its {storage.size} values")
    bytes_apart = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, bytes_apart, writeable=False)


def _broken(path: Path, reason: str) -> EngineError:
    return EngineError(
        "broken_weights",
        f"{path} cannot be read: {reason}. Delete it and run `manage.py fetch_models`, or copy it "
        "again from its source.",
    )
