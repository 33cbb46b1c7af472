"""Works on the imports of photos. Any number of processes may do it: each import is claimed."""

from __future__ import annotations

import logging
import threading
from contextlib import closing

from django.db import close_old_connections

from accounts.background import run_beside_requests
from recognition.cohort.models import PhotoImport
from recognition.cohort.services import photos_wait, stop_broken_uploads, students_done
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
        photos_wait.clear()
        pause_s = LOOK_EVERY_S
        close_old_connections()
        try:
            stop_broken_uploads()
            _work_on_imports(ending)
        except (EngineError, WorkerLostError) as error:
            logger.warning("photo imports wait: %s", error)
            pause_s = WITHOUT_MODELS_S
        except Exception as error:
            # Its text may hold names.
            logger.error("photo imports wait: %s", type(error).__name__)
        finally:
            close_old_connections()
        photos_wait.wait(pause_s)


def _work_on_imports(ending: threading.Event) -> None:
    working = PhotoImport.objects.filter(status=PhotoImport.Status.WORKING).order_by("pk")
    for pk in list(working.values_list("pk", flat=True)):
        with closing(students_done(pk)) as students:
            for _student in students:
                if ending.is_set():
                    return
