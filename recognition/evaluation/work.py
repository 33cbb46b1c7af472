"""Measures the own templates beside the requests. Any process may: each measurement is claimed."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from django.db import close_old_connections, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.background import WorkWaits, run_beside_requests
from accounts.models import User
from recognition.evaluation.own import TooFewFacesError, measure_own
from recognition.models import GalleryEvaluation

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
#: A measurement of which nothing was heard for so long went with its process.
LOST_AFTER = timedelta(minutes=30)

Status = GalleryEvaluation.Status

measurement_waits = WorkWaits("recognition.tasks.measure")


def start_measurements() -> None:
    """Work on measurements in a thread of this process, until it ends."""
    run_beside_requests(_work_until, name="measurements", wake=measurement_waits)


def ask_for_measurement(*, model_id: str, by: User) -> GalleryEvaluation:
    """The measurement that waits or runs for this model, else a new one."""
    under_way = GalleryEvaluation.objects.filter(
        model_id=model_id, status__in=[Status.WAITING, Status.RUNNING]
    ).first()
    if under_way is not None:
        return under_way
    evaluation = GalleryEvaluation.objects.create(model_id=model_id, created_by=by)
    transaction.on_commit(measurement_waits.tell, robust=True)
    return evaluation


def _work_until(ending: threading.Event) -> None:
    while not ending.is_set():
        close_old_connections()
        try:
            give_up_lost()
            work_on_next()
        except Exception:
            logger.exception("measurements wait")
        finally:
            close_old_connections()
        measurement_waits.wait(LOOK_EVERY_S)


def give_up_lost() -> int:
    """End measurements whose process has gone; returns how many."""
    running = GalleryEvaluation.objects.filter(status=Status.RUNNING)
    return running.filter(heard_at__lt=timezone.now() - LOST_AFTER).update(
        status=Status.FAILED,
        finished_at=timezone.now(),
        trouble=_("The server ended meanwhile. Start another measurement."),
    )


def work_on_next() -> GalleryEvaluation | None:
    """Take the oldest that waits and measure; None where none does."""
    waiting = GalleryEvaluation.objects.filter(status=Status.WAITING).order_by("pk")
    evaluation = waiting.first()
    if evaluation is None or not waiting.filter(pk=evaluation.pk).update(
        status=Status.RUNNING, heard_at=timezone.now()
    ):
        return None
    evaluation.refresh_from_db()
    _measure(evaluation)
    return evaluation


def _measure(evaluation: GalleryEvaluation) -> None:
    def say(progress: str) -> None:
        GalleryEvaluation.objects.filter(pk=evaluation.pk).update(
            figures={"progress": progress}, heard_at=timezone.now()
        )

    try:
        results = measure_own(model_id=evaluation.model_id, say=say)
    except TooFewFacesError as refusal:
        _end(evaluation, Status.FAILED, trouble=str(refusal))
    except Exception:
        logger.exception("measurement %s", evaluation.pk)
        _end(
            evaluation,
            Status.FAILED,
            trouble=_("Something went wrong; the log of the server says what."),
        )
    else:
        _end(evaluation, Status.DONE, figures={"results": results})


def _end(evaluation: GalleryEvaluation, status: str, **fields: object) -> None:
    evaluation.status, evaluation.finished_at = status, timezone.now()
    evaluation.figures = fields.get("figures", {})
    evaluation.trouble = str(fields.get("trouble", ""))
    evaluation.save(update_fields=["status", "finished_at", "figures", "trouble"])
