"""What is done for other systems while the server runs. Any number of processes may do it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.db import close_old_connections
from django.utils import timezone

from accounts.background import run_beside_requests
from integrations.events.services import outbox_waits, publish_openings, sequence_events
from integrations.notifications.delivery import notify_due, take_up_notifications
from integrations.notifications.services import notifications_wait
from integrations.webhooks.delivery import deliver_due, take_up_events
from integrations.webhooks.services import deliveries_wait

logger = logging.getLogger(__name__)

#: What other processes wrote, and what is due again, is found by looking, this often.
LOOK_EVERY_S = 5.0


def start_outbox() -> None:
    """Bring events into order and send them, from three threads of this process, until it ends.

    Receivers that are slow to answer hold up nothing but each other.
    """
    run_beside_requests(_loop(bring_into_order, outbox_waits), name="outbox", wake=outbox_waits)
    run_beside_requests(_loop(deliver_due, deliveries_wait), name="webhooks", wake=deliveries_wait)
    run_beside_requests(
        _loop(notify_due, notifications_wait), name="notifications", wake=notifications_wait
    )


def bring_into_order() -> int:
    """Tell of sessions that opened, number what is committed, and queue it for its receivers."""
    publish_openings(timezone.now())
    sequence_events()
    queued = take_up_events()
    if queued:
        deliveries_wait.set()
    notifications = take_up_notifications()
    if notifications:
        notifications_wait.set()
    return queued + notifications


def _loop(work: Callable[[], int], wake: threading.Event) -> Callable[[threading.Event], None]:
    def until(ending: threading.Event) -> None:
        while not ending.is_set():
            close_old_connections()
            try:
                work()
            except Exception as error:
                # Its text may hold more than ids.
                logger.error("%s failed: %s", work.__name__, type(error).__name__)
            finally:
                close_old_connections()
            wake.wait(LOOK_EVERY_S)
            wake.clear()

    return until
