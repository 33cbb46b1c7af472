"""What a webhook is told of."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from accounts.events import event_kinds
from accounts.models import User
from integrations.events.models import OutboxMessage
from integrations.events.selectors import visible_events
from integrations.webhooks.models import WebhookEndpoint
from roster.models import CourseEnrolment
from roster.selectors import SEE_EVERY_COURSE

#: The event of the button "send a test". It is no event of the school and stands in no list.
TEST_KIND = "webhook.test"


def events_for(endpoint: WebhookEndpoint) -> QuerySet[OutboxMessage]:
    """The events that the endpoint chose, of what its owner may see at this moment."""
    if endpoint.owner is None:
        return OutboxMessage.objects.none()
    known = {kind.name for kind in event_kinds()}
    chosen = [name for name in endpoint.kinds if name in known]
    if endpoint.kinds and not chosen:
        return OutboxMessage.objects.none()
    events = visible_events(endpoint.owner, kinds=chosen)
    courses = list(endpoint.courses.values_list("pk", flat=True))
    if not courses:
        return events
    listed = CourseEnrolment.objects.filter(course__in=courses).values("student")
    return events.filter(Q(course_pk__in=courses) | Q(course_pk=None, student__in=listed))


def is_for(endpoint: WebhookEndpoint, message: OutboxMessage) -> bool:
    """Whether the endpoint may still be told of an event that waits for it."""
    return message.kind == TEST_KIND or events_for(endpoint).filter(pk=message.pk).exists()


def endpoints_of(user: User) -> QuerySet[WebhookEndpoint]:
    """The webhooks that this user may see: all of them, or the own ones."""
    if user.has_perm(SEE_EVERY_COURSE):
        return WebhookEndpoint.objects.all()
    return WebhookEndpoint.objects.filter(owner=user)
