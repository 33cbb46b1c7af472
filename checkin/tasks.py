"""For Celery's workers, where a broker is configured; otherwise a thread does the same."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from accounts.background import told_in_brief
from checkin.retention import overwrite_what_is_deleted, purge
from checkin.sessions.clock import do_what_is_due as do_every_job


@shared_task(soft_time_limit=300, time_limit=330)
@told_in_brief
def do_what_is_due() -> None:
    """Close sessions, send digests and alerts, replace passes: each thing happens once."""
    do_every_job(timezone.now())


@shared_task(soft_time_limit=3600, time_limit=3660)
@told_in_brief
def purge_expired() -> None:
    """Delete what is past its retention period."""
    purge(timezone.now())
    overwrite_what_is_deleted()
