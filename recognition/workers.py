"""The process-wide worker pool."""

from __future__ import annotations

import atexit
import functools
import logging
from concurrent.futures import Future

from django.conf import settings

from recognition.engine.pool import WorkerPool

logger = logging.getLogger(__name__)


@functools.cache
def worker_pool() -> WorkerPool:
    """The pool of this process, started at the first call."""
    pool = WorkerPool(
        workers=settings.RECOGNITION_WORKERS,
        model=settings.RECOGNITION_MODEL,
        model_cache_dir=settings.MODEL_CACHE_DIR,
    )
    atexit.register(pool.close)
    return pool


def start_workers() -> None:
    """Load the models now, so that what is wrong with them is in the log at the start."""
    worker_pool().warm_up().add_done_callback(_report)


def _report(warmed_up: Future[str]) -> None:
    error = warmed_up.exception()
    if error is None:
        logger.info("the workers are ready with the model %s", warmed_up.result())
    else:
        logger.error("no face can be recognised: %s", error)


def active_model_id() -> str:
    """The id of the model in use, as templates carry it: a set of models is named after it."""
    return str(settings.RECOGNITION_MODEL)


def require_models() -> None:
    """Wait until the models are loaded.

    Raises:
        EngineError: they are missing or broken; the text says what to do.
    """
    worker_pool().warm_up().result()
