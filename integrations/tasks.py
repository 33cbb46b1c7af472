"""For Celery's workers, where a broker is configured; otherwise threads do the same."""

from __future__ import annotations

from celery import shared_task

from accounts.background import told_in_brief
from integrations.notifications.delivery import notify_due
from integrations.payroll.services import run_due_exports
from integrations.webhooks.delivery import deliver_due
from integrations.work import bring_into_order


@shared_task(soft_time_limit=120, time_limit=150)
@told_in_brief
def bring_events_into_order() -> None:
    """Tell of sessions that opened, give events their positions, and queue them."""
    bring_into_order()


@shared_task(soft_time_limit=540, time_limit=600)
@told_in_brief
def deliver_webhooks() -> None:
    """Send what is due to other systems."""
    deliver_due()


@shared_task(soft_time_limit=540, time_limit=600)
@told_in_brief
def send_notifications() -> None:
    """Send what is due to people's channels."""
    notify_due()


@shared_task(soft_time_limit=1740, time_limit=1800)
@told_in_brief
def send_exports() -> None:
    """Make and send the scheduled exports that are due."""
    run_due_exports()
