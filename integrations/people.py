"""What this app keeps of a person and for how long, for the tables that `checkin` has of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from oauth2_provider.models import AccessToken
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from checkin.people.kinds import Kind
from checkin.retention import Expired
from integrations.api.idempotency import KEPT_FOR, answers_before
from integrations.api.models import KeptAnswer
from integrations.app_logins.models import AppLogin
from integrations.app_logins.services import logins_past, token_ids_past
from integrations.events.models import OutboxMessage
from integrations.events.services import expire, expired_events
from integrations.notifications.models import Notification, NotificationChannel
from integrations.oauth.services import codes_past, refresh_tokens_past, tokens_past
from integrations.webhooks.models import WebhookAttempt, WebhookDelivery

KINDS = (
    Kind(
        "events",
        _("events for other systems"),
        OutboxMessage,
        {"at": "occurred_at", "event": "kind", "told": "payload"},
        by_student=("student",),
    ),
    Kind(
        "event_deliveries",
        _("events that were sent to other systems"),
        WebhookDelivery,
        {
            "to": "endpoint.name",
            "event": "message.kind",
            "queued_at": "queued_at",
            "state": "state",
            "ended_at": "ended_at",
        },
        by_student=("message__student",),
        related=("endpoint", "message"),
    ),
    Kind(
        "event_delivery_tries",
        _("tries to send them"),
        WebhookAttempt,
        {"at": "at", "status": "status"},
        by_student=("delivery__message__student",),
        left_out=_("What the other system answered is left out: it may hold more than yours."),
    ),
    Kind(
        "notification_channels",
        _("notification channels"),
        NotificationChannel,
        {
            "name": "name",
            "address": "shown",
            "course": "course.code",
            "told_of": "told",
            "how_often": "rhythm",
            "created_at": "created_at",
            "last_sent_at": "last_sent_at",
        },
        by_account=("owner",),
        to_account=True,
        related=("course",),
        left_out=_("Passwords in the addresses of channels are masked."),
    ),
    Kind(
        "notifications",
        _("notifications of you that were sent"),
        Notification,
        {"at": "message.occurred_at", "event": "message.kind", "state": "state"},
        by_student=("message__student",),
        by_account=("channel__owner",),
        related=("message",),
        left_out=_("To whom of the staff they went is left out: it is that person's data."),
    ),
    Kind(
        "kept_answers",
        _("answers to other systems, kept for a day"),
        KeptAnswer,
        {"at": "at"},
        by_student=("student",),
        left_out=_("They repeat what stands in the other lists."),
    ),
    Kind(
        "app_logins",
        _("log-ins of apps"),
        AppLogin,
        {
            "app": "app",
            "made_at": "made_at",
            "last_used_at": "last_used_at",
            "expires_at": "expires_at",
            "ended_at": "ended_at",
        },
        by_account=("user",),
        to_account=True,
    ),
    Kind(
        "app_tokens",
        _("tokens of apps"),
        OutstandingToken,
        {"made_at": "created_at", "expires_at": "expires_at"},
        by_account=("user",),
        to_account=True,
        left_out=_("The tokens themselves are not kept."),
    ),
    Kind(
        "connected_apps",
        _("apps that may act for you"),
        AccessToken,
        {
            "app": "application.name",
            "may": "scope",
            "made_at": "created",
            "expires_at": "expires",
            "last_used_at": lambda token: getattr(
                getattr(token, "use", None), "last_used_at", None
            ),
        },
        by_account=("user",),
        related=("application", "use"),
        to_account=True,
        left_out=_("The tokens are stored as hashes, which are left out."),
    ),
)

EXCEPTIONS = {
    "oauth2_provider.Application": "a client; its account is a member of staff",
    "integrations.ApiClient": "what such a client is for",
    "oauth2_provider.Grant": "a code for one minute, as a hash; goes with its account",
    "oauth2_provider.RefreshToken": "a hash beside a listed access token; goes with its account",
    "oauth2_provider.IDToken": "none are issued",
    "oauth2_provider.DeviceGrant": "none are issued",
    "integrations.TokenUse": "the last use of a listed access token, told there",
    "token_blacklist.BlacklistedToken": "that a listed token was used; goes with it",
}


def expired(at: datetime) -> Iterator[Expired]:
    yield Expired(
        "events for other systems", settings.EVENT_RETENTION_DAYS, expired_events(at), expire
    )
    yield Expired(
        "kept answers of the API", KEPT_FOR // timedelta(days=1), answers_before(at - KEPT_FOR)
    )
    days = settings.API_LOGIN_DAYS
    yield Expired("authorisation codes", 0, codes_past(at))
    yield Expired("refresh tokens that ran out or were used", days, refresh_tokens_past(at))
    yield Expired("access tokens that ran out", 0, tokens_past(at))
    yield Expired("log-ins of apps that ran out or were ended", days, logins_past(at))
    yield Expired("ids of tokens of apps that ran out", 0, token_ids_past(at))
