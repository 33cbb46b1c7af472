"""The process-wide worker pool, and which models it runs."""

from __future__ import annotations

import atexit
import functools
import logging
from concurrent.futures import Future

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from recognition.engine.models import ModelChoice
from recognition.engine.pool import WorkerPool
from recognition.engine.types import EngineError

logger = logging.getLogger(__name__)

#: That of `start_workers`, in a server.
_warm_up: Future[str] | None = None


def model_choice() -> ModelChoice:
    """The models that the settings name; the names may still be unknown."""
    return ModelChoice(
        detector=settings.RECOGNITION_DETECTOR,
        landmarker=settings.RECOGNITION_LANDMARKER,
        embedder=settings.RECOGNITION_MODEL,
        previous_embedder=settings.RECOGNITION_PREVIOUS_MODEL,
        anti_spoofing=settings.ANTI_SPOOFING != "off",
    )


@functools.cache
def worker_pool() -> WorkerPool:
    """The pool of this process, started at the first call."""
    pool = WorkerPool(
        workers=settings.RECOGNITION_WORKERS,
        models=model_choice(),
        model_cache_dir=settings.MODEL_CACHE_DIR,
    )
    atexit.register(pool.close)
    return pool


def start_workers() -> None:
    """Load the models now, so that what is wrong with them is in the log at the start.

    Raises:
        ImproperlyConfigured: a setting names a model that there is not.
    """
    try:
        model_choice().parts()
    except EngineError as error:
        raise ImproperlyConfigured(f"{error} See docs/models.md.") from error
    global _warm_up
    _warm_up = worker_pool().warm_up()
    _warm_up.add_done_callback(_report)


def workers_ready() -> bool | None:
    """Whether the workers of this server have loaded their models; None where none were started.

    Raises:
        EngineError: they cannot be loaded; the text says what to do.
        WorkerLostError: they ended while loading.
    """
    if _warm_up is None:
        return None
    if not _warm_up.done():
        return False
    _warm_up.result()
    return True


def _report(warmed_up: Future[str]) -> None:
    error = warmed_up.exception()
    if error is None:
        logger.info("the workers are ready with the model %s", warmed_up.result())
    else:
        logger.error("no face can be recognised: %s", error)


def active_model_id() -> str:
    """The id of the model in use, as templates carry it: a set of models is named after it."""
    return model_choice().embedder


def previous_model_id() -> str | None:
    """The id of the model that is being replaced, whose templates still serve; None if none is."""
    return model_choice().previous_embedder or None


def require_models() -> None:
    """Wait until the models are loaded.

    Raises:
        EngineError: they are missing or broken; the text says what to do.
    """
    worker_pool().warm_up().result()
