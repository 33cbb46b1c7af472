"""Brings events into order while the server runs."""

from __future__ import annotations

import logging
import threading

from django.db import close_old_connections
from django.utils import timezone

from accounts.background import run_beside_requests
from integrations.events.services import outbox_waits, publish_openings, sequence_events

logger = logging.getLogger(__name__)

#: What other processes published, and sessions that open, are found by looking, this often.
LOOK_EVERY_S = 5.0


def start_outbox() -> None:
    """Work from a thread of this process, until it ends."""
    run_beside_requests(_work_until, name="outbox", wake=outbox_waits)


def _work_until(ending: threading.Event) -> None:
    while not ending.is_set():
        close_old_connections()
        try:
            bring_into_order()
        except Exception as error:
            # Its text may hold more than ids.
            logger.error("events wait: %s", type(error).__name__)
        finally:
            close_old_connections()
        outbox_waits.wait(LOOK_EVERY_S)
        outbox_waits.clear()


def bring_into_order() -> None:
    """Tell of sessions that opened, and give positions to what is committed."""
    publish_openings(timezone.now())
    sequence_events()
