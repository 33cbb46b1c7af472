"""What is done for other systems while the server runs. Any number of processes may do it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.db import close_old_connections
from django.utils import timezone

from accounts.background import WorkWaits, run_beside_requests
from integrations.events.services import outbox_waits, publish_openings, sequence_events
from integrations.notifications.delivery import notify_due, take_up_notifications
from integrations.notifications.services import notifications_wait
from integrations.payroll.services import exports_wait, run_due_exports
from integrations.webhooks.delivery import deliver_due, take_up_events
from integrations.webhooks.services import deliveries_wait

logger = logging.getLogger(__name__)

#: What other processes wrote, and what is due again, is found by looking, this often.
LOOK_EVERY_S = 5.0


# Each has a thread of its own: receivers that are slow to answer hold up nothing else.


def start_outbox() -> None:
    """Bring events into order from a thread of this process, until it ends."""
    _start(bring_into_order, outbox_waits)


def start_webhooks() -> None:
    """Send events to other systems from a thread of this process, until it ends."""
    _start(deliver_due, deliveries_wait)


def start_notifications() -> None:
    """Send notifications from a thread of this process, until it ends."""
    _start(notify_due, notifications_wait)


def start_exports() -> None:
    """Send scheduled exports from a thread of this process, until it ends."""
    _start(run_due_exports, exports_wait)


def bring_into_order() -> int:
    """Tell of sessions that opened, number what is committed, and queue it for its receivers."""
    publish_openings(timezone.now())
    sequence_events()
    queued = take_up_events()
    if queued:
        deliveries_wait.tell()
    notifications = take_up_notifications()
    if notifications:
        notifications_wait.tell()
    return queued + notifications


def _start(work: Callable[[], int], wake: WorkWaits) -> None:
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

    run_beside_requests(until, name=work.__name__, wake=wake)
