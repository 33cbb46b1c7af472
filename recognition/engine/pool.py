"""Worker processes for everything that touches pixels.

Each worker loads the models once and runs one thread. A worker that dies is replaced, and only
the frame it was working on is lost; one that hangs is ended after ``timeout_s``.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from recognition.engine.models import ModelChoice
from recognition.engine.types import (
    ClassPhotoAnalysis,
    EngineError,
    FrameAnalysis,
    FrameRequest,
    PortraitAnalysis,
)

CLASS_PHOTO_TIMEOUT_S = 90.0
"""A picture of a class has up to a hundred times the pixels of a kiosk's frame."""


class WorkerLostError(RuntimeError):
    """The worker died or was ended while it worked. The same call may succeed again at once."""


class WorkerPool:
    """Analyses frames and photos in other processes.

    Args:
        workers: how many processes.
        models: which ones, for `recognition.engine.models.load_models`.
        model_cache_dir: where converted and fetched models are kept.
        timeout_s: how long one picture may take.
    """

    def __init__(
        self, *, workers: int, models: ModelChoice, model_cache_dir: Path, timeout_s: float = 20.0
    ) -> None:
        self._timeout_s = timeout_s
        self._new_pool = partial(
            ProcessPool,
            max_workers=workers,
            initializer=_load,
            initargs=(models, str(model_cache_dir)),
            context=get_context("spawn"),
        )
        self._pool = self._new_pool()
        self._closed = False
        self._lock = threading.Lock()
        self._calls = 0
        self.workers = workers

    def warm_up(self) -> Future[str]:
        """Start the workers now; the result is the embedder's model id.

        The future raises `EngineError` where the models cannot be loaded.
        """
        return self._submit(_model_id)

    def analyse_frame(self, jpeg: bytes, request: FrameRequest) -> Future[FrameAnalysis]:
        """Analyse one kiosk frame. The future raises `EngineError` or `WorkerLostError`."""
        return self._submit(_analyse_frame, jpeg, request)

    def read_code(self, jpeg: bytes) -> Future[str | None]:
        """Look for a QR code in one frame and for nothing else.

        The result is the code's text, at most 200 characters. The future raises `EngineError` for
        a frame that is none, or `WorkerLostError`.
        """
        return self._submit(_read_code, jpeg)

    def analyse_photo(self, content: bytes) -> Future[FrameAnalysis]:
        """Analyse one enrolment photo. The future raises `EngineError` or `WorkerLostError`."""
        return self._submit(_analyse_photo, content)

    def analyse_portrait(self, content: bytes, *, embed: bool = True) -> Future[PortraitAnalysis]:
        """Analyse one enrolment photo and make the portrait that may be kept of it.

        With ``embed`` false no template can be made of the picture: it is only judged. The future
        raises `EngineError` or `WorkerLostError`.
        """
        return self._submit(_analyse_portrait, content, embed)

    def analyse_class_photo(self, content: bytes) -> Future[ClassPhotoAnalysis]:
        """Find everybody in a picture of a class, which may take ``CLASS_PHOTO_TIMEOUT_S``.

        The future raises `EngineError` or `WorkerLostError`.
        """
        return self._submit(_analyse_class_photo, content, timeout_s=CLASS_PHOTO_TIMEOUT_S)

    @property
    def calls(self) -> int:
        """How many calls have no answer yet; those beyond ``workers`` wait for one."""
        return self._calls

    def close(self) -> None:
        """End the workers without waiting for their work."""
        with self._lock:
            self._closed = True
        self._pool.stop()
        self._pool.join(timeout=5)

    def _submit(
        self, function: Callable[..., Any], *args: Any, timeout_s: float | None = None
    ) -> Future[Any]:
        # The caller gets a future of its own: cancelling one of the pool's ends its worker.
        answer: Future[Any] = Future()
        answer.set_running_or_notify_cancel()
        self._count(+1)
        answer.add_done_callback(lambda _answered: self._count(-1))
        try:
            work = self._usable_pool().submit(function, timeout_s or self._timeout_s, *args)
        except RuntimeError as error:
            answer.set_exception(WorkerLostError(f"the workers cannot be reached: {error}"))
        else:
            work.add_done_callback(lambda done: _hand_over(done, answer))
        return answer

    def _count(self, change: int) -> None:
        with self._lock:
            self._calls += change

    def _usable_pool(self) -> ProcessPool:
        """The pool, or a new one: pebble's is broken for good once a worker dies while all rest."""
        with self._lock:
            if not self._closed and not self._pool.active:
                # Joining ends the workers that are left, which takes a moment.
                threading.Thread(target=self._pool.join, daemon=True).start()
                self._pool = self._new_pool()
            return self._pool


def _hand_over(done: Future[Any], answer: Future[Any]) -> None:
    if done.cancelled():
        answer.set_exception(WorkerLostError("the worker pool was closed"))
        return
    error = done.exception()
    if error is None:
        answer.set_result(done.result())
    elif isinstance(error, ProcessExpired | BrokenProcessPool):
        answer.set_exception(WorkerLostError("a worker process died and is replaced; send again"))
    elif isinstance(error, TimeoutError):
        answer.set_exception(WorkerLostError("a worker took too long and is replaced"))
    else:
        answer.set_exception(error)


# In the worker process

_analyser: Any = None
_failure: EngineError | None = None


def _load(choice: ModelChoice, model_cache_dir: str) -> None:
    """Load the models, or keep the reason why not: a worker that fails here would be restarted
    for ever, one that tells why can be mended.
    """
    global _analyser, _failure
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    # DeepFace prints, at its usual level, what it does.
    os.environ.setdefault("DEEPFACE_LOG_LEVEL", str(logging.WARNING))
    try:
        from recognition.engine.analysis import Analyser
        from recognition.engine.models import load_models

        _analyser = Analyser(load_models(choice, model_cache_dir=Path(model_cache_dir)))
    except EngineError as error:
        _failure = error
    except Exception as error:
        _failure = EngineError("models_not_loaded", f"the models could not be loaded: {error!r}")


def _loaded() -> Any:
    if _failure is not None:
        raise _failure
    return _analyser


def _model_id() -> str:
    return str(_loaded().models.embedder.model_id)


def _analyse_frame(jpeg: bytes, request: FrameRequest) -> FrameAnalysis:
    result: FrameAnalysis = _loaded().analyse_frame(jpeg, request)
    return result


def _read_code(jpeg: bytes) -> str | None:
    from recognition.engine.codes import read_code
    from recognition.engine.images import decode_frame

    return read_code(decode_frame(jpeg))


def _analyse_photo(content: bytes) -> FrameAnalysis:
    analyser = _loaded()

    from recognition.engine.images import decode_photo

    result: FrameAnalysis = analyser.analyse_photo(decode_photo(content))
    return result


def _analyse_portrait(content: bytes, embed: bool) -> PortraitAnalysis:
    analyser = _loaded()

    from recognition.engine.images import decode_photo

    result: PortraitAnalysis = analyser.analyse_portrait(decode_photo(content), embed=embed)
    return result


def _analyse_class_photo(content: bytes) -> ClassPhotoAnalysis:
    analyser = _loaded()

    from recognition.engine.class_photo import analyse_class_photo

    return analyse_class_photo(analyser, content)
