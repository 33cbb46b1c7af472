"""Worker processes die, hang and come back."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest
from django.conf import settings

from recognition.engine.models import ModelChoice
from recognition.engine.pool import WorkerLostError, WorkerPool
from recognition.engine.types import EngineError, FrameRequest
from recognition.workers import active_model_id, require_models
from tests.support import pictures
from tests.support.portraits import as_jpeg

TIMEOUT_S = 2


def a_pool(models: ModelChoice | None = None) -> WorkerPool:
    return WorkerPool(
        workers=1,
        models=models or ModelChoice(),
        model_cache_dir=settings.MODEL_CACHE_DIR,
        timeout_s=TIMEOUT_S,
    )


@pytest.fixture
def others() -> set[int | None]:
    """Child processes that are none of the pool's, the site's own workers among them."""
    require_models()
    return {child.pid for child in multiprocessing.active_children()}


@pytest.fixture
def pool(others: set[int | None]) -> Iterator[WorkerPool]:
    """One worker, ready."""
    pool = a_pool()
    assert pool.warm_up().result(30) == active_model_id()
    yield pool
    pool.close()


def signal_the_worker(others: set[int | None], number: int) -> None:
    (worker,) = [c for c in multiprocessing.active_children() if c.pid not in others]
    assert worker.pid is not None
    os.kill(worker.pid, number)


def finds_the_face(pool: WorkerPool) -> bool:
    return bool(pool.analyse_photo(pictures.portrait()).result(30).faces)


def test_a_worker_that_dies_at_rest_is_replaced(pool, others):
    """Again and again; whoever asks before the death is noticed is told to ask again."""
    for _ in range(2):
        signal_the_worker(others, signal.SIGKILL)
        time.sleep(0.5)
        assert finds_the_face(pool)


def test_a_worker_that_dies_at_work_loses_its_picture_only(pool, others):
    signal_the_worker(others, signal.SIGSTOP)
    at_work = pool.analyse_photo(pictures.portrait())
    signal_the_worker(others, signal.SIGKILL)
    with pytest.raises(WorkerLostError):
        at_work.result(30)
    assert finds_the_face(pool)


def test_a_worker_that_hangs_is_ended_and_replaced(pool, others):
    noise = np.random.default_rng(1).integers(0, 256, (1600, 1600, 3), dtype=np.uint8)
    photos = [pool.analyse_photo(as_jpeg(noise)) for _ in range(4)]
    photos[0].result(30)
    time.sleep(0.05)
    signal_the_worker(others, signal.SIGSTOP)  # in the middle of the second
    errors = [photo.exception(30) for photo in photos]
    assert [isinstance(error, WorkerLostError) for error in errors].count(True) == 1
    assert finds_the_face(pool)


def test_a_bad_picture_leaves_the_worker_alive(pool, others):
    before = [child.pid for child in multiprocessing.active_children()]
    for picture in (b"", b"rubbish", pictures.png_bomb(), pictures.truncated(pictures.portrait())):
        with pytest.raises(EngineError):
            pool.analyse_photo(picture).result(30)
        with pytest.raises(EngineError):
            pool.analyse_frame(picture, FrameRequest()).result(30)
    assert [child.pid for child in multiprocessing.active_children()] == before


def test_nobody_who_gives_up_waiting_costs_a_worker(pool, others):
    before = [child.pid for child in multiprocessing.active_children()]
    assert not pool.analyse_photo(pictures.portrait()).cancel()
    assert finds_the_face(pool)
    assert [child.pid for child in multiprocessing.active_children()] == before


def test_a_closed_pool_says_so(pool):
    pool.close()
    with pytest.raises(WorkerLostError):
        pool.analyse_photo(pictures.portrait()).result(5)
    assert pool.warm_up().exception(5) is not None


def test_a_model_that_cannot_be_loaded_is_told_at_each_call():
    pool = a_pool(ModelChoice(embedder="no-such-model"))
    try:
        for _ in range(2):
            with pytest.raises(EngineError, match="no-such-model"):
                pool.warm_up().result(30)
    finally:
        pool.close()
