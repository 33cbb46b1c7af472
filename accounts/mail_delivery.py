"""Sends the queued mails. Any number of processes may do it: each mail is claimed first."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import close_old_connections
from django.db.models import Q, QuerySet
from django.utils import timezone
from post_office.models import STATUS, Email

from accounts.background import run_beside_requests
from accounts.mail import mail_waits, message_of

logger = logging.getLogger(__name__)

# Longer than the sending of one mail takes, with EMAIL_TIMEOUT for each step. A mail whose
# process ended while it was being sent is tried again after it.
CLAIM = timedelta(minutes=10)
# What other processes queued is found by looking, this often.
LOOK_EVERY_S = 5.0
# The wait doubles after each failure: from a minute, the last try comes after 17 hours.
MAX_TRIES = 11


def start_mail_delivery() -> None:
    """Send mails from a thread of this process, until it ends."""
    if settings.EMAIL_BACKEND != "accounts.mail.QueueBackend":
        return
    run_beside_requests(_deliver_until, name="mail", wake=mail_waits)


def _deliver_until(ending: threading.Event) -> None:
    while not ending.is_set():
        pause_s = LOOK_EVERY_S
        close_old_connections()
        try:
            deliver_due_mails()
        except OSError as error:
            logger.warning("no mail server: %s; mails wait", type(error).__name__)
            pause_s = settings.MAIL_RETRY_SECONDS
        except Exception as error:
            # Its text may hold addresses.
            logger.error("mails wait: %s", type(error).__name__)
        finally:
            close_old_connections()
        mail_waits.wait(pause_s)


def deliver_due_mails(go_on: Callable[[], bool] = lambda: True) -> None:
    """Send what is due, one mail after the other, as long as the caller says so.

    Raises:
        OSError: no mail server answers. What was not tried keeps its place.
    """
    while go_on() and _due().exists():
        with get_connection(settings.MAIL_TRANSPORT) as transport:
            _deliver_in_turn(transport, go_on)


def _deliver_in_turn(transport: BaseEmailBackend, go_on: Callable[[], bool]) -> None:
    for pk in list(_due().order_by("pk").values_list("pk", flat=True)):
        if not go_on():
            return
        mail = _claim(pk)
        if mail is not None and not _deliver(mail, transport):
            # The connection may be in the middle of a conversation: the rest gets a new one.
            return


def _due() -> QuerySet[Email]:
    return Email.objects.filter(
        Q(scheduled_time=None) | Q(scheduled_time__lte=timezone.now()),
        status__in=[STATUS.queued, STATUS.requeued],
    )


def _claim(pk: int) -> Email | None:
    """The mail, or nothing when another process was faster: one of two updates finds it due."""
    if not _due().filter(pk=pk).update(scheduled_time=timezone.now() + CLAIM):
        return None
    return Email.objects.filter(pk=pk).first()


def _deliver(mail: Email, transport: BaseEmailBackend) -> bool:
    try:
        transport.send_messages([message_of(mail)])
    except Exception as error:
        # Its text may hold addresses.
        logger.warning("mail %s was not sent: %s", mail.pk, type(error).__name__)
        _put_back(mail)
        return False
    mail.status = STATUS.sent
    mail.context = None  # what was attached
    mail.save_base(update_fields=["status", "context", "last_updated"])
    return True


def _put_back(mail: Email) -> None:
    failures = (mail.number_of_retries or 0) + 1
    wait_s = settings.MAIL_RETRY_SECONDS * 2 ** (failures - 1)
    mail.number_of_retries = failures
    mail.scheduled_time = timezone.now() + timedelta(seconds=wait_s)
    mail.status = STATUS.requeued
    if failures >= MAX_TRIES:
        mail.status, mail.context = STATUS.failed, None
    mail.save_base(
        update_fields=["number_of_retries", "scheduled_time", "status", "context", "last_updated"]
    )
