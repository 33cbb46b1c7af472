"""Logging in without a browser. Each function that writes is one transaction.

Limits, confirmation of the address and second factor are those of the log-in page.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from allauth.core import ratelimit
from allauth.mfa.base.internal.flows import check_rate_limit
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib.auth.models import update_last_login
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from accounts.models import User
from integrations.app_logins.models import AppLogin
from integrations.app_logins.tokens import LOGIN_CLAIM, AppRefreshToken

logger = logging.getLogger(__name__)


class LogInRefusedError(Exception):
    """The text is for the person who logs in."""


class SecondFactorNeededError(LogInRefusedError):
    """The password was right, and alone is not enough."""


class TooManyTriesError(LogInRefusedError):
    """Wait, then try again."""


@dataclass(frozen=True, slots=True)
class Pair:
    access: str
    refresh: str
    expires_in: int


def log_in(request: HttpRequest, *, username: str, password: str, code: str, app: str) -> Pair:
    """Open a log-in for an app on behalf of somebody who gave name, password and code.

    Raises:
        SecondFactorNeededError: a code is missing, or the account has to set one up first.
        TooManyTriesError: as on the log-in page.
        LogInRefusedError: name, password or code are wrong, or the address is not confirmed.
    """
    user = _with_password(request, username, password)
    _check_confirmed(user)
    with_second_factor = _checked_second_factor(user, code)
    update_last_login(User, user)
    login = AppLogin.objects.create(
        user=user, app=app, second_factor=with_second_factor, expires_at=_runs_out(timezone.now())
    )
    logger.info("account %s logged in with an app: log-in %s", user.pk, login.pk)
    return _pair(login)


def renew(refresh: str, *, at: datetime) -> Pair:
    """A new pair for a refresh token, which thereby is used up.

    Whoever shows a used one has a copy of it, or is the owner of what was copied: nobody can
    tell, so the whole log-in ends.

    Raises:
        LogInRefusedError: it is no token of ours, ran out, was used, or its log-in was ended.
    """
    token = _read(refresh)
    with transaction.atomic():
        login = _locked(token)
        if login is None or not login.user.is_active:
            raise LogInRefusedError(_("This log-in was ended. Log in again."))
        if not token.was_used:
            token.blacklist()
            login.last_used_at, login.expires_at = at, _runs_out(at)
            login.save(update_fields=["last_used_at", "expires_at"])
            return _pair(login)
        end(login, at=at)
    logger.warning("a used refresh token was shown: log-in %s was ended", login.pk)
    raise LogInRefusedError(_("This token was used before, so the log-in was ended. Log in again."))


def log_out(refresh: str, *, at: datetime) -> None:
    """End the log-in of a refresh token; whoever has a token that is none is logged out too."""
    try:
        token = _read(refresh)
    except LogInRefusedError:
        return
    with transaction.atomic():
        login = _locked(token)
        if login is not None:
            end(login, at=at)


def end(login: AppLogin, *, at: datetime) -> None:
    """Nothing that was issued from this log-in opens anything any more."""
    AppLogin.objects.filter(pk=login.pk, ended_at=None).update(ended_at=at)


# What is past its time


def logins_past(at: datetime) -> QuerySet[AppLogin]:
    since = at - timedelta(days=settings.API_LOGIN_DAYS)
    return AppLogin.objects.filter(Q(expires_at__lt=at) | Q(ended_at__lt=since))


def token_ids_past(at: datetime) -> QuerySet[OutstandingToken]:
    """With them goes the note that they were used: they are too old anyway."""
    return OutstandingToken.objects.filter(expires_at__lt=at)


# How


def _with_password(request: HttpRequest, username: str, password: str) -> User:
    if not ratelimit.consume(request, action="login"):
        raise TooManyTriesError(_("Too many log-ins come from this address. Wait a minute."))
    credentials = {"email" if "@" in username else "username": username, "password": password}
    try:
        user = get_adapter().authenticate(request, **credentials)
    except ValidationError as refusal:
        raise TooManyTriesError(" ".join(refusal.messages)) from refusal
    if user is None or not user.is_active:
        raise LogInRefusedError(_("Name and password do not belong together."))
    return user


def _check_confirmed(user: User) -> None:
    """As on the page: who signed up has to follow the mailed link first."""
    addresses = EmailAddress.objects.filter(user=user)
    if addresses.filter(primary=True).exists() and not addresses.filter(verified=True).exists():
        raise LogInRefusedError(_("Confirm your e-mail address first, by the link in our mail."))


def _checked_second_factor(user: User, code: str) -> bool:
    """Whether a second factor was shown; one that is needed and missing is refused."""
    if not is_mfa_enabled(user):
        if settings.STAFF_SECOND_FACTOR and user.is_staff:
            raise SecondFactorNeededError(
                _("Who works here needs an authenticator app. Set it up on the web page.")
            )
        return False
    app = Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).first()
    if app is None:
        raise SecondFactorNeededError(
            _("A passkey cannot be used here. Set up an authenticator app on the web page.")
        )
    if not code:
        raise SecondFactorNeededError(_("Send the code of the authenticator app as “code”."))
    _check_code(user, app, code)
    return True


def _check_code(user: User, app: Authenticator, code: str) -> None:
    try:
        forget_tries = check_rate_limit(user)
    except ValidationError as refusal:
        raise TooManyTriesError(" ".join(refusal.messages)) from refusal
    if not app.wrap().validate_code(code):
        logger.warning("wrong code of the second factor: account %s", user.pk)
        raise LogInRefusedError(_("The code is wrong or was used before. Wait for the next one."))
    forget_tries()
    app.record_usage()


def _read(refresh: str) -> AppRefreshToken:
    try:
        return AppRefreshToken(refresh)  # type: ignore[arg-type]
    except TokenError:
        raise LogInRefusedError(_("This token ran out or is none of ours. Log in again.")) from None


def _locked(token: AppRefreshToken) -> AppLogin | None:
    logins = AppLogin.objects.select_for_update(of=("self",)).select_related("user")
    return logins.filter(key=token.get(LOGIN_CLAIM), ended_at=None).first()


def _pair(login: AppLogin) -> Pair:
    token = AppRefreshToken.of(login)
    lifetime: timedelta = token.access_token_class.lifetime
    return Pair(str(token.access_token), str(token), int(lifetime.total_seconds()))


def _runs_out(at: datetime) -> datetime:
    return at + timedelta(days=settings.API_LOGIN_DAYS)
