from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.core.cache import cache
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from accounts.models import User
from integrations.api.caller import Caller, InvalidTokenError
from integrations.app_logins.models import AppLogin
from integrations.app_logins.tokens import LOGIN_CLAIM
from integrations.oauth.scopes import ALL_SCOPES

#: Last use is written down at most this often.
USE_NOTED_EVERY = timedelta(minutes=1)


def caller_with_jwt(raw: str, *, at: datetime) -> Caller:
    """Who calls with the access token of an own app, which may do what its user may.

    Raises:
        InvalidTokenError: it is no token of ours, ran out, or its log-in was ended.
    """
    try:
        token = AccessToken(raw.encode())  # type: ignore[arg-type]
        key = UUID(token[LOGIN_CLAIM])
    except (TokenError, KeyError, ValueError):
        raise InvalidTokenError(_("This token ran out or is none of ours. Renew it.")) from None
    login = AppLogin.objects.select_related("user").filter(key=key, ended_at=None).first()
    if login is None or not login.user.is_active:
        raise InvalidTokenError(_("This log-in was ended. Log in again."))
    # Also for who came to work here since.
    if settings.STAFF_SECOND_FACTOR and login.user.is_staff and not login.second_factor:
        raise InvalidTokenError(_("This account needs a second factor by now. Log in again."))
    if cache.add(f"app-login-used-{login.pk}", "", USE_NOTED_EVERY.total_seconds()):
        AppLogin.objects.filter(pk=login.pk).update(last_used_at=at)
    return Caller(user=login.user, key=f"login:{login.key}", scopes=ALL_SCOPES, name=login.app)


def open_logins(user: User, *, at: datetime) -> QuerySet[AppLogin]:
    """Log-ins of somebody's apps that still open something."""
    return AppLogin.objects.filter(user=user, ended_at=None, expires_at__gt=at)
