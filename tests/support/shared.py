"""Faces that are for measuring and testing only, kept beside the project and never inside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("ROLLCALL_SHARED") or Path(__file__).parents[2].parent / "shared")
LFW = SHARED / "faces" / "lfw"
MEDIA = SHARED / "media"
MODELS = SHARED / "models"


def _needs(folder: Path) -> pytest.MarkDecorator:
    """Skips without the folder; under CI the test runs all the same, and fails."""
    return pytest.mark.skipif(
        not folder.is_dir() and not os.environ.get("CI"),
        reason=f"{folder} is missing: set ROLLCALL_SHARED to the folder above it",
    )


needs_faces = _needs(LFW)
needs_media = _needs(MEDIA)
needs_models = _needs(MODELS)


def lfw_pictures() -> dict[str, list[Path]]:
    """The pictures of each person, by name."""
    return {
        folder.name: sorted(folder.glob("*.jpg"))
        for folder in sorted(LFW.iterdir())
        if folder.is_dir()
    }
