"""Files of weights: where they lie, and whether they are whole.

Beside a file that was fetched lies its checksum, ``<file>.sha256``, as ``sha256sum`` writes it.
Nothing here touches the network: only ``downloads`` does, when somebody asks for it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from recognition.engine.models.catalogue import KnownModel, WeightFile
from recognition.engine.types import EngineError

CHECKSUM_SUFFIX = ".sha256"
PART_SUFFIX = ".part"

_BLOCK_BYTES = 1 << 20


def deepface_home(model_cache_dir: Path) -> Path:
    """The environment's ``DEEPFACE_HOME``, or our own folder of models."""
    return Path(os.environ.get("DEEPFACE_HOME") or model_cache_dir)


def weights_folder(model_cache_dir: Path) -> Path:
    """Where all files of weights lie: the folder in which DeepFace looks for its own."""
    return deepface_home(model_cache_dir) / ".deepface" / "weights"


def sha256_of(path: Path) -> str:
    """The checksum of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def kept_checksum(path: Path) -> str:
    """The checksum beside a file, or nothing."""
    try:
        return path.with_name(path.name + CHECKSUM_SUFFIX).read_text("ascii").split()[0]
    except (OSError, UnicodeDecodeError, IndexError):
        return ""


def keep_checksum(path: Path, sha256: str) -> None:
    path.with_name(path.name + CHECKSUM_SUFFIX).write_text(f"{sha256}  {path.name}\n", "ascii")


def needed_files(model: KnownModel, folder: Path) -> tuple[WeightFile, ...]:
    """The files that the model is loaded from: a stand-in only where the file itself is missing."""
    return tuple(
        next((one for one in (file, *file.stand_ins) if (folder / one.name).is_file()), file)
        for file in model.files
    )


def checked_files(model: KnownModel, folder: Path) -> list[Path]:
    """Where the model's files are, each whole.

    Raises ``EngineError`` with ``model_missing`` or ``broken_weights``, which say what to do.
    """
    return [checked_file(model, file, folder) for file in needed_files(model, folder)]


def checked_file(model: KnownModel, file: WeightFile, folder: Path) -> Path:
    """One file's path, once it is compared with the checksum beside it, if there is one.

    Raises ``EngineError`` with ``model_missing`` or ``broken_weights``.
    """
    path = folder / file.name
    if not path.is_file():
        raise EngineError("model_missing", _how_to_get(model, file, path))
    if path.stat().st_size == 0:
        raise broken_file(model, path, "it is empty")
    compare(model, path, expected=kept_checksum(path))
    return path


def compare(model: KnownModel, path: Path, *, expected: str) -> None:
    """Raises ``EngineError`` with ``broken_weights`` unless the file has this checksum, or none."""
    if expected and (found := sha256_of(path)) != expected:
        raise broken_file(model, path, f"its SHA-256 is {found}, expected {expected}")


def broken_file(model: KnownModel, path: Path, reason: str) -> EngineError:
    """What is wrong with a file that is there, and what to do."""
    return EngineError(
        "broken_weights",
        f"The file of {model.name} at {path} ({path.stat().st_size} bytes) cannot be used: "
        f"{reason}. Delete it and run `manage.py fetch_models {model.name}`, or bring the right "
        "one by hand.",
    )


def missing_files(model: KnownModel, folder: Path) -> Iterator[WeightFile]:
    """What has to be fetched before the model can be loaded."""
    for file in needed_files(model, folder):
        if not (folder / file.name).is_file():
            yield file


def _how_to_get(model: KnownModel, file: WeightFile, path: Path) -> str:
    begun = path.with_name(path.name + PART_SUFFIX)
    state = (
        f"is not complete ({begun.stat().st_size} bytes so far)"
        if begun.is_file()
        else ("is missing")
    )
    return (
        f"{file.name}, the weights of {model.name}, {state}. Run `manage.py fetch_models "
        f"{model.name}`, or download {file.addresses[0]} elsewhere and bring it to {path}."
    )
