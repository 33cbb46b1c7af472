"""Sends scheduled exports while the server runs."""

from __future__ import annotations

import logging
import threading

from django.db import close_old_connections

from accounts.background import run_beside_requests

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0
#: Set by who wants one to be sent now.
WAKE = threading.Event()


def start_export_clock() -> None:
    """Look for what is due from a thread of this process, until it ends."""
    run_beside_requests(_tick_until, name="exports", wake=WAKE)


def _tick_until(ending: threading.Event) -> None:
    # Imported late: the services wake this thread.
    from integrations.payroll.services import run_due_exports

    while True:
        WAKE.wait(LOOK_EVERY_S)
        WAKE.clear()
        if ending.is_set():
            return
        close_old_connections()
        try:
            run_due_exports()
        except Exception as error:
            logger.error("scheduled exports are not sent: %s", type(error).__name__)
        finally:
            close_old_connections()
