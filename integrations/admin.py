"""Only so that Django finds them: the pages register themselves."""

from integrations.app_logins.admin import AppLoginAdmin
from integrations.notifications.admin import NotificationChannelAdmin
from integrations.oauth.admin import AccessTokenAdmin, ApiClientAdmin
from integrations.payroll.admin import ExportProfileAdmin, ExportRunAdmin, ExportScheduleAdmin
from integrations.webhooks.admin import WebhookEndpointAdmin

__all__ = [
    "AccessTokenAdmin",
    "ApiClientAdmin",
    "AppLoginAdmin",
    "ExportProfileAdmin",
    "ExportRunAdmin",
    "ExportScheduleAdmin",
    "NotificationChannelAdmin",
    "WebhookEndpointAdmin",
]
