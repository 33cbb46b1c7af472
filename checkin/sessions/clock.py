"""Does what is due while the server runs. Any number of processes may: each thing happens once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from django.db import close_old_connections
from django.utils import timezone

from accounts.background import run_beside_requests
from checkin.alerts.mail import send_due_alerts
from checkin.alerts.services import forget_faces
from checkin.notices.services import send_due_notices
from checkin.passes.services import replace_used_passes
from checkin.sessions.services import close_due_sessions

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 20.0

#: What is said where it fails, and what does all of it that is due and returns how much that was.
Job = tuple[str, Callable[[datetime], int]]
JOBS: tuple[Job, ...] = (
    ("sessions are not closed", close_due_sessions),
    ("notices of entry are not sent", send_due_notices),
    ("alerts are not mailed", send_due_alerts),
    ("used passes are not replaced", replace_used_passes),
    ("faces of alerts are not forgotten", forget_faces),
)


def start_session_clock() -> None:
    """Do the jobs from a thread of this process, until it ends."""
    run_beside_requests(_tick_until, name="sessions")


def _tick_until(ending: threading.Event) -> None:
    while not ending.wait(LOOK_EVERY_S):
        do_what_is_due(timezone.now())


def do_what_is_due(at: datetime) -> None:
    """Every job, also after one before it failed."""
    for failing, job in JOBS:
        close_old_connections()
        try:
            job(at)
        except Exception as error:
            logger.error("%s: %s", failing, type(error).__name__)
        finally:
            close_old_connections()
