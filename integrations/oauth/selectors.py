"""Whose token this is."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from django.conf import settings
from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _
from oauth2_provider.models import AccessToken

from accounts.models import User
from accounts.selectors import has_second_factor
from integrations.api.caller import Caller, InvalidTokenError
from integrations.oauth.models import ApiClient, TokenUse

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
