"""What comes back from the worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from recognition.engine.models import ModelChoice
from recognition.engine.pool import WorkerPool
from recognition.engine.synthesis import held_up
from recognition.engine.types import EngineError
from tests.engine.test_codes import PASS, a_code
from tests.support import pictures
from tests.support.portraits import as_jpeg, astronaut


@pytest.fixture(scope="module")
def pool(model_cache_dir: Path) -> Iterator[WorkerPool]:
    pool = WorkerPool(
        workers=1, models=ModelChoice(), model_cache_dir=model_cache_dir, timeout_s=60
    )
    yield pool
    pool.close()


def test_a_heic_photo_comes_back_as_a_portrait_with_its_embedding(pool: WorkerPool) -> None:
    on_its_side = PillowImage.fromarray(astronaut()).transpose(pictures.TURNED[6])

    result = pool.analyse_portrait(pictures.heic(on_its_side, orientation=6)).result(60)

    assert result.analysis.main_face is not None
    assert result.analysis.main_face.embedding is not None
    assert result.portrait_jpeg is not None
    assert result.portrait_jpeg.startswith(b"\xff\xd8")


def test_a_photo_may_be_judged_only(pool: WorkerPool) -> None:
    result = pool.analyse_portrait(pictures.portrait(), embed=False).result(60)

    assert [face.embedding for face in result.analysis.faces] == [None]
    assert result.portrait_jpeg is not None


def test_a_photo_that_is_refused_comes_back_as_the_reason(pool: WorkerPool) -> None:
    with pytest.raises(EngineError, match="it is a web page"):
        pool.analyse_portrait(pictures.NO_PHOTOS["web page"]).result(60)


def test_a_frame_is_read_for_its_code_alone(pool: WorkerPool) -> None:
    held = as_jpeg(held_up(np.full((480, 640, 3), 90, np.uint8), a_code(PASS)))

    assert pool.read_code(held).result(60) == PASS
    assert pool.read_code(as_jpeg(astronaut())).result(60) is None
    with pytest.raises(EngineError, match="not a JPEG"):
        pool.read_code(b"no picture at all").result(60)
