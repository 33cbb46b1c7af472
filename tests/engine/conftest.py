from __future__ import annotations

from pathlib import Path

import pytest

from recognition.engine.analysis import Analyser
from recognition.engine.models import FaceModels, ModelChoice, load_models
from recognition.engine.types import Face
from tests.support.portraits import astronaut


@pytest.fixture(scope="session")
def model_cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def models(model_cache_dir: Path) -> FaceModels:
    return load_models(ModelChoice(), model_cache_dir=model_cache_dir)


@pytest.fixture(scope="session")
def analyser(models: FaceModels) -> Analyser:
    return Analyser(models)


@pytest.fixture(scope="session")
def astronaut_face(analyser: Analyser) -> Face:
    face = analyser.analyse_photo(astronaut()).main_face
    assert face is not None
    return face
