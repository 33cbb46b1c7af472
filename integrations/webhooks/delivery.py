"""Delivers events to webhooks: each at least once, those of one student in their order.

Any number of processes may do it. A delivery is claimed by moving its next try beyond the time
that one try can take; a process that is killed leaves it to the others after that.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.http import parse_http_date_safe
from django.utils.translation import gettext as _

from accounts.mail import send_notice
from accounts.models import User
from integrations.events.models import OutboxHead
from integrations.events.selectors import content_of
from integrations.sealing import SecretUnreadableError
from integrations.targets import Answer, NotReachedError, TargetRefusedError, post
from integrations.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from integrations.webhooks.selectors import events_for, is_for
from integrations.webhooks.services import TRIED_FOR, Reason, State, switch_off
from integrations.webhooks.signing import headers_of

logger = logging.getLogger(__name__)

#: Longer than one try takes, see `integrations.targets`.
CLAIM = timedelta(seconds=90)
LONGEST_WAIT = timedelta(hours=6)
#: No receiver is left alone for longer, whatever it asks for.
LONGEST_QUIET = timedelta(days=1)
#: Endpoints that one process serves side by side: a slow one holds up no other.
SIDE_BY_SIDE = 8
MOST_IN_TURN = 500
TAKEN_AT_ONCE = 2000
TOLD_AGAIN_AFTER = timedelta(days=1)
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"

GONE = 410
TOO_MANY_REQUESTS, UNAVAILABLE = 429, 503


# From events to deliveries


def take_up_events() -> int:
    """Queue for each endpoint what has happened; returns how many deliveries that were."""
    head = OutboxHead.objects.filter(pk=1).values_list("position", flat=True).first() or 0
    behind = WebhookEndpoint.objects.filter(disabled_at=None, taken_until__lt=head)
    return sum(_take_up(pk, head) for pk in behind.order_by("pk").values_list("pk", flat=True))


def _take_up(endpoint_pk: int, head: int) -> int:
    queued = 0
    while True:
        taken = _take_up_batch(endpoint_pk, head)
        queued += taken
        if taken < TAKEN_AT_ONCE:
            return queued


@transaction.atomic
def _take_up_batch(endpoint_pk: int, head: int) -> int:
    # The lock orders processes; the second one finds that everything is taken.
    endpoints = WebhookEndpoint.objects.select_for_update(of=("self",)).select_related("owner")
    endpoint = endpoints.filter(pk=endpoint_pk, disabled_at=None, taken_until__lt=head).first()
    if endpoint is None:
        return 0
    now = timezone.now()
    new = events_for(endpoint).filter(position__gt=endpoint.taken_until, position__lte=head)
    messages = list(new.order_by("position").defer("payload")[:TAKEN_AT_ONCE])
    WebhookDelivery.objects.bulk_create(
        [
            WebhookDelivery(
                endpoint=endpoint,
                message=message,
                position=message.position or 0,
                student_pk=message.student_id,
                queued_at=now,
                due_at=now,
                give_up_at=now + TRIED_FOR,
            )
            for message in messages
        ]
    )
    full = len(messages) == TAKEN_AT_ONCE
    endpoint.taken_until = messages[-1].position or head if full else head
    endpoint.save(update_fields=["taken_until"])
    return len(messages)


# From deliveries to receivers


def deliver_due() -> int:
    """Send what is due to every endpoint; returns how many tries that were."""
    endpoints = list(
        _due(timezone.now()).order_by("endpoint").values_list("endpoint", flat=True).distinct()
    )
    if not endpoints:
        return 0
    if len(endpoints) == 1:
        return _deliver_in_turn(endpoints[0])
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="webhook") as threads:
        return sum(threads.map(_deliver_in_thread, endpoints))


def _deliver_in_thread(endpoint_pk: int) -> int:
    close_old_connections()
    try:
        return _deliver_in_turn(endpoint_pk)
    except Exception as error:
        # One endpoint's trouble is not the others'. Its text may hold more than ids.
        logger.error("webhook %s waits: %s", endpoint_pk, type(error).__name__)
        return 0
    finally:
        connection.close()


def _deliver_in_turn(endpoint_pk: int) -> int:
    """Until nothing is due, or somebody does not answer: then the next one would not either."""
    tried = 0
    while tried < MOST_IN_TURN:
        delivery = _claim_next(endpoint_pk)
        if delivery is None:
            return tried
        tried += 1
        if not _deliver(delivery):
            return tried
    return tried


def _due(at: datetime) -> QuerySet[WebhookDelivery]:
    """What may be sent now: nothing that is told of the same student waits before it."""
    before = WebhookDelivery.objects.filter(
        endpoint=OuterRef("endpoint"),
        student_pk=OuterRef("student_pk"),
        position__lt=OuterRef("position"),
        state=State.WAITING,
    )
    return WebhookDelivery.objects.filter(
        Q(student_pk=None) | ~Exists(before),
        Q(endpoint__quiet_until=None) | Q(endpoint__quiet_until__lte=at),
        state=State.WAITING,
        due_at__lte=at,
        endpoint__disabled_at=None,
    )


def _claim_next(endpoint_pk: int) -> WebhookDelivery | None:
    """The next one, or nothing: of two processes one update finds it due.

    Asked of the row's own columns: PostgreSQL looks at those again when it has waited for the
    other process, and not at what a subquery said before.
    """
    now = timezone.now()
    due = _due(now).filter(endpoint=endpoint_pk)
    for pk in due.order_by("position", "pk").values_list("pk", flat=True)[:20]:
        unclaimed = WebhookDelivery.objects.filter(pk=pk, state=State.WAITING, due_at__lte=now)
        if unclaimed.update(due_at=now + CLAIM):
            claimed = WebhookDelivery.objects.select_related("endpoint__owner", "message")
            return claimed.filter(pk=pk).first()
    return None


def _deliver(delivery: WebhookDelivery) -> bool:
    """Whether anybody answered. What was answered decides on the delivery."""
    if not is_for(delivery.endpoint, delivery.message):
        _end(delivery, State.WITHHELD)
        return True
    try:
        answer = _sent(delivery)
    except (NotReachedError, TargetRefusedError, SecretUnreadableError) as error:
        _failed(delivery, WebhookAttempt(delivery=delivery, said=str(error)[:300]))
        return False
    attempt = WebhookAttempt(
        delivery=delivery,
        status=answer.status,
        duration_ms=answer.duration_ms,
        said=_in_short(answer),
    )
    if 200 <= answer.status < 300:
        _end(delivery, State.DELIVERED, attempt)
        return True
    _failed(delivery, attempt, quiet=quiet_after(answer, timezone.now()))
    if answer.status == GONE:
        switch_off(delivery.endpoint, at=timezone.now(), reason=Reason.GONE)
        logger.warning("webhook %s is gone and was switched off", delivery.endpoint_id)
    return True


def _sent(delivery: WebhookDelivery) -> Answer:
    body = json.dumps(content_of(delivery.message)).encode()
    at = timezone.now()
    signed = headers_of(
        delivery.endpoint.secrets(at),
        event_id=str(delivery.message.event_id),
        at=at,
        body=body,
    )
    headers = {"content-type": "application/json", "user-agent": "Rollcall-Webhooks/1", **signed}
    return post(delivery.endpoint.url, body=body, headers=headers)


def _in_short(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        return _("A redirect, which is not followed: enter the address that it leads to.")
    return " ".join(answer.text.split())[:300]


@transaction.atomic
def _end(
    delivery: WebhookDelivery, state: WebhookDelivery.State, attempt: WebhookAttempt | None = None
) -> None:
    if _is_still_ours(delivery).update(
        state=state, due_at=None, ended_at=timezone.now(), tries=delivery.tries + bool(attempt)
    ):
        _log([attempt] if attempt else [])


@transaction.atomic
def _failed(
    delivery: WebhookDelivery, attempt: WebhookAttempt, *, quiet: timedelta = timedelta(0)
) -> None:
    now, tries = timezone.now(), delivery.tries + 1
    # Who asks for a long time does not lose the last try before it is given up.
    quiet_until = min(now + quiet, delivery.give_up_at)
    if quiet:
        WebhookEndpoint.objects.filter(pk=delivery.endpoint_id).update(quiet_until=quiet_until)
    again_at = now + wait_after(tries)
    if again_at <= delivery.give_up_at:
        due_at = max(again_at, quiet_until)
        if _is_still_ours(delivery).update(due_at=due_at, tries=tries):
            _log([attempt])
        return
    if _is_still_ours(delivery).update(
        state=State.GIVEN_UP, due_at=None, ended_at=now, tries=tries
    ):
        _log([attempt])
        _tell_administrators(delivery.endpoint, now)


def _is_still_ours(delivery: WebhookDelivery) -> QuerySet[WebhookDelivery]:
    """Not, if the claim ran out and another process took it, or if the event was erased."""
    return WebhookDelivery.objects.filter(
        pk=delivery.pk, state=State.WAITING, due_at=delivery.due_at
    )


def _log(attempts: Sequence[WebhookAttempt]) -> None:
    for attempt in attempts:
        attempt.save()


def wait_after(tries: int) -> timedelta:
    """Doubles with each failure, give or take a fifth: receivers that come back are not run down.

    From 10 s, the ninth try comes after an hour, and then one every six hours.
    """
    wait = timedelta(seconds=settings.WEBHOOK_RETRY_SECONDS) * 2 ** min(tries - 1, 20)
    return min(wait, LONGEST_WAIT) * random.uniform(0.8, 1.2)  # noqa: S311 -- no secret


def quiet_after(answer: Answer, at: datetime) -> timedelta:
    """For how long a receiver that is busy asks to be sent nothing: `Retry-After`, RFC 9110."""
    if answer.status not in (TOO_MANY_REQUESTS, UNAVAILABLE):
        return timedelta(0)
    asked = answer.retry_after.strip()
    if asked.isascii() and asked.isdigit():
        seconds = float(asked)
    else:
        seconds = (parse_http_date_safe(asked) or 0) - at.timestamp()
    return timedelta(seconds=min(max(seconds, 0.0), LONGEST_QUIET.total_seconds()))


def _tell_administrators(endpoint: WebhookEndpoint, at: datetime) -> None:
    """Once a day for each endpoint, in the transaction that gives up."""
    untold = Q(given_up_told_at=None) | Q(given_up_told_at__lte=at - TOLD_AGAIN_AFTER)
    told = WebhookEndpoint.objects.filter(untold, pk=endpoint.pk).update(given_up_told_at=at)
    if not told:
        return
    logger.error("deliveries of webhook %s were given up", endpoint.pk)
    administrators = User.objects.with_perm(
        "integrations.change_webhookendpoint", backend=MODEL_BACKEND
    )
    for user in administrators.filter(is_active=True).exclude(email=""):
        send_notice(
            to=user.email,
            subject=_("Webhook “%(name)s”: events were not delivered") % {"name": endpoint.name},
            template="webhook_given_up",
            context={
                "endpoint": endpoint,
                "days": TRIED_FOR.days,
                "page": reverse("admin:integrations_webhookendpoint_change", args=[endpoint.pk]),
            },
        )
