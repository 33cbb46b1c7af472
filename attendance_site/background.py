"""What a server process does beside its requests."""

from __future__ import annotations

from django.conf import settings
from django.utils.module_loading import import_string

from attendance_site.celery import BACKGROUND


def start_background_work() -> None:
    """Start the threads, unless Celery's workers do all of it."""
    if settings.CELERY_BROKER_URL:
        return
    for work in BACKGROUND:
        if work.thread:
            import_string(work.thread)()
