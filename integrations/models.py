"""Only so that Django finds them: they are used from their own modules."""

from integrations.api.models import KeptAnswer
from integrations.app_logins.models import AppLogin
from integrations.events.models import OutboxHead, OutboxMessage
from integrations.notifications.models import Notification, NotificationChannel
from integrations.oauth.models import ApiClient, TokenUse
from integrations.payroll.models import ExportProfile, ExportRun, ExportSchedule
from integrations.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint

__all__ = [
    "ApiClient",
    "AppLogin",
    "ExportProfile",
    "ExportRun",
    "ExportSchedule",
    "KeptAnswer",
    "Notification",
    "NotificationChannel",
    "OutboxHead",
    "OutboxMessage",
    "TokenUse",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
]
