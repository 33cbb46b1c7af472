"""For Celery's workers, where a broker is configured; otherwise a thread does the same."""

from __future__ import annotations

import logging
import time

from celery import shared_task
from django.conf import settings

from accounts.background import is_paused, pause, told_in_brief
from accounts.mail_delivery import deliver_due_mails

logger = logging.getLogger(__name__)

MAIL = "mail"
#: What is left then is sent by the next one. A mail takes three steps of 30 s at most.
SHARE_S = 60.0


@shared_task(soft_time_limit=300, time_limit=330)
@told_in_brief
def deliver_mails() -> None:
    """Send the queued mails. Any number of workers may: each mail is claimed first."""
    if is_paused(MAIL):
        return
    until_s = time.monotonic() + SHARE_S
    try:
        deliver_due_mails(lambda: time.monotonic() < until_s)
    except OSError as error:
        logger.warning("no mail server: %s; mails wait", type(error).__name__)
        pause(MAIL, settings.MAIL_RETRY_SECONDS)
