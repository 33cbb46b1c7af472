"""Whose token this is, and which apps have tokens of somebody."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.db.models import Exists, Max, Min, OuterRef, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from oauth2_provider.models import AccessToken, Grant, RefreshToken

from accounts.models import User
from accounts.selectors import has_second_factor
from integrations.api.caller import Caller, InvalidTokenError
from integrations.oauth.models import ApiClient, TokenUse
from integrations.oauth.scopes import SCOPES

#: Last use is written down at most this often.
USE_NOTED_EVERY = timedelta(minutes=1)


def caller_with(token: str, *, address: str, at: datetime) -> Caller:
    """Who calls with an access token. ``address`` is what they call, without its query.

    Raises:
        InvalidTokenError: the token is unknown, was revoked or ran out, or is not for this.
    """
    found = (
        AccessToken.objects.select_related("application__client__service_account", "user")
        .filter(token_checksum=hashlib.sha256(token.encode()).hexdigest())
        .first()
    )
    if found is None:
        raise InvalidTokenError(_("This token is unknown or was revoked. Ask for a new one."))
    if found.is_expired():
        raise InvalidTokenError(_("This token ran out. Ask for a new one."))
    client: ApiClient | None = getattr(found.application, "client", None)
    if client is None or not client.is_in_use:
        raise InvalidTokenError(_("This client is switched off. Talk to the administrators."))
    if not found.allows_audience(address):
        raise InvalidTokenError(_("This token was issued for another address."))
    user = _user_of(client, found)
    _note_use(found, client, at)
    return Caller(
        user=user,
        key=f"client:{client.pk}:{user.pk}",
        scopes=frozenset(found.scope.split()) & frozenset(client.scopes),
        name=client.name,
    )


def _user_of(client: ApiClient, token: AccessToken) -> User:
    if client.kind == ApiClient.Kind.MACHINE:
        assert client.service_account is not None  # noqa: S101  is_in_use
        return client.service_account
    user: User | None = token.user
    if user is None or not user.is_active:
        raise InvalidTokenError(_("The account of this token is switched off."))
    # Whoever came to work here since has to set up a second factor first, as on the pages.
    if settings.STAFF_SECOND_FACTOR and user.is_staff and not has_second_factor(user):
        raise InvalidTokenError(_("This account needs a second factor. Set it up on the web page."))
    return user


def _note_use(token: AccessToken, client: ApiClient, at: datetime) -> None:
    if not cache.add(f"api-token-used-{token.pk}", "", USE_NOTED_EVERY.total_seconds()):
        return
    try:
        with transaction.atomic():
            TokenUse.objects.bulk_create(
                [TokenUse(token=token, last_used_at=at)],
                update_conflicts=True,
                unique_fields=["token"],
                update_fields=["last_used_at"],
            )
            ApiClient.objects.filter(pk=client.pk).update(last_used_at=at)
    except IntegrityError:
        # It was revoked at this moment, and its row is gone.
        raise InvalidTokenError(
            _("This token is unknown or was revoked. Ask for a new one.")
        ) from None


# What somebody agreed to


@dataclass(frozen=True, slots=True)
class ConnectedApp:
    """``may`` says in plain words what it may still ask for."""

    client: ApiClient
    may: list[Promise]
    since: datetime
    last_used_at: datetime | None


def connected_apps(user: User, *, at: datetime) -> list[ConnectedApp]:
    """Those that may act for somebody, or could after renewing their tokens, by name."""
    by_client: dict[ApiClient, list[AccessToken]] = {}
    for token in _live_tokens(user, at):
        by_client.setdefault(token.application.client, []).append(token)
    found = [_connected(client, tokens) for client, tokens in by_client.items()]
    return sorted(found, key=lambda app: app.client.name.casefold())


def clients_used_by(user: User) -> QuerySet[ApiClient]:
    """Every client that somebody ever agreed to, as far as it is still known."""
    issued = [
        Exists(kind.objects.filter(user=user, application=OuterRef("application")))
        for kind in (AccessToken, RefreshToken, Grant)
    ]
    return ApiClient.objects.filter(issued[0] | issued[1] | issued[2])


def _live_tokens(user: User, at: datetime) -> QuerySet[AccessToken]:
    """Also those that ran out, while their refresh token brings the next one."""
    renewable_since = at - timedelta(days=settings.API_LOGIN_DAYS)
    return AccessToken.objects.filter(
        Q(expires__gt=at) | Q(expires__gt=renewable_since, refresh_token__isnull=False),
        user=user,
        application__client__isnull=False,
    ).select_related("application__client__service_account", "refresh_token", "use")


def _connected(client: ApiClient, tokens: list[AccessToken]) -> ConnectedApp:
    asked = {scope for token in tokens for scope in token.scope.split()} & set(client.scopes)
    families = [t.refresh_token.token_family for t in tokens if hasattr(t, "refresh_token")]
    # An access token goes when it is renewed; of the refresh tokens the first one is kept.
    issued = RefreshToken.objects.filter(token_family__in=families).aggregate(
        first=Min("created"), last=Max("created")
    )
    since = issued["first"] or min(token.created for token in tokens)
    uses = [token.use.last_used_at for token in tokens if hasattr(token, "use")]
    if issued["last"] and issued["last"] > since:
        uses.append(issued["last"])
    return ConnectedApp(
        client=client,
        may=[told for scope, told in SCOPES.items() if scope in asked],
        since=since,
        last_used_at=max(uses, default=None),
    )
