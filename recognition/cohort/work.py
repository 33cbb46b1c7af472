"""Works on the imports of photos. Any number of processes may do it: each student is claimed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing

from django.db import close_old_connections
from django.db.models import QuerySet

from accounts.background import run_beside_requests
from recognition.cohort.models import PhotoImport
from recognition.cohort.services import (
    photos_wait,
    stop_broken_uploads,
    students_done,
    unclaimed,
)
from recognition.engine.pool import WorkerLostError
from recognition.engine.types import EngineError

logger = logging.getLogger(__name__)

# What other processes received, or left behind, is found by looking, this often.
LOOK_EVERY_S = 5.0
# Without models nothing can be done; somebody has to mend that first.
WITHOUT_MODELS_S = 60.0


def start_photo_imports() -> None:
    """Work on imports in a thread of this process, until it ends."""
    run_beside_requests(_work_until, name="photos", wake=photos_wait)


def _work_until(ending: threading.Event) -> None:
    while not ending.is_set():
        pause_s = LOOK_EVERY_S
        close_old_connections()
        try:
            work_on_photos(lambda: not ending.is_set())
        except (EngineError, WorkerLostError) as error:
            logger.warning("photo imports wait: %s", error)
            pause_s = WITHOUT_MODELS_S
        except Exception as error:
            # Its text may hold names.
            logger.error("photo imports wait: %s", type(error).__name__)
        finally:
            close_old_connections()
        photos_wait.wait(pause_s)


def work_on_photos(go_on: Callable[[], bool]) -> None:
    """Work on all imports, one student after the other, as long as the caller says so.

    Raises:
        EngineError: the models cannot be loaded.
        WorkerLostError: the workers are being ended.
    """
    stop_broken_uploads()
    for pk in list(_working().values_list("pk", flat=True)):
        with closing(students_done(pk)) as students:
            for _student in students:
                if not go_on():
                    return


def shares_wanted(most: int) -> int:
    """How many processes could work on photos at once; one at least where an import has to end."""
    free = unclaimed().order_by().values("photo_import", "student").distinct()
    return max(free[:most].count(), int(_working().exists()))


def _working() -> QuerySet[PhotoImport]:
    return PhotoImport.objects.filter(status=PhotoImport.Status.WORKING).order_by("pk")
