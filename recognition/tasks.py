"""For Celery's workers, where a broker is configured; otherwise threads do the same."""

from __future__ import annotations

import logging
import time

from celery import shared_task

from accounts.background import TOLD_FOR_S, is_paused, pause, told_in_brief
from recognition.cohort import work as photos
from recognition.engine.pool import WorkerLostError
from recognition.engine.types import EngineError
from recognition.evaluation.work import give_up_lost, work_on_next

logger = logging.getLogger(__name__)

PHOTOS = "photos"
#: So many workers, on all hosts together, are asked at once to work on photos.
SHARES = 32
#: After so long a worker does something else; the photos that are left are asked for again.
SHARE_S = 30.0


@shared_task(soft_time_limit=60, time_limit=90)
@told_in_brief
def look_for_photos() -> None:
    """Ask as many workers as can be of use; who comes too late finds nothing to do."""
    if is_paused(PHOTOS):
        return
    for _share in range(photos.shares_wanted(SHARES)):
        work_on_photos.apply_async(expires=TOLD_FOR_S)


# The longest share ends within one student of five pictures, each tried three times for 20 s.
@shared_task(soft_time_limit=400, time_limit=430)
@told_in_brief
def work_on_photos() -> None:
    """Work on the students of photo imports whom no other worker has claimed."""
    until_s = time.monotonic() + SHARE_S
    try:
        photos.work_on_photos(lambda: time.monotonic() < until_s)
    except (EngineError, WorkerLostError) as error:
        logger.warning("photo imports wait: %s", error)
        pause(PHOTOS, photos.WITHOUT_MODELS_S)


@shared_task(soft_time_limit=2 * 3600, time_limit=2 * 3600 + 60)
@told_in_brief
def measure() -> None:
    """Do the oldest measurement of the own templates that waits, if one does."""
    give_up_lost()
    work_on_next()
