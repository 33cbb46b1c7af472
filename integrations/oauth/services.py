"""Clients of the API: made, renewed, switched off. Each function is one transaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from oauth2_provider.generators import generate_client_secret
from oauth2_provider.models import (
    AccessToken,
    Application,
    Grant,
    RefreshToken,
    revoke_access_token,
)

from accounts.models import User
from integrations.oauth.models import ApiClient

logger = logging.getLogger(__name__)

Kind = ApiClient.Kind

_CLIENT_TYPE = {
    Kind.MACHINE: Application.CLIENT_CONFIDENTIAL,
    Kind.WEB_APP: Application.CLIENT_CONFIDENTIAL,
    Kind.NATIVE_APP: Application.CLIENT_PUBLIC,
}


@dataclass(frozen=True, slots=True)
class NewSecret:
    """Shown once. A native app has none: it could not keep it."""

    client_id: str
    secret: str


@transaction.atomic
def register_client(client: ApiClient, *, redirect_uris: Sequence[str] = ()) -> NewSecret:
    """Save a new client together with what the toolkit needs to know of it."""
    kind = Kind(client.kind)
    secret = "" if kind == Kind.NATIVE_APP else generate_client_secret()
    client.application = Application.objects.create(
        name=client.name,
        client_type=_CLIENT_TYPE[kind],
        authorization_grant_type=(
            Application.GRANT_CLIENT_CREDENTIALS
            if kind == Kind.MACHINE
            else Application.GRANT_AUTHORIZATION_CODE
        ),
        client_secret=secret,
        redirect_uris=" ".join(redirect_uris),
    )
    client.save()
    logger.info("client %s of the API was registered", client.pk)
    return NewSecret(client.application.client_id, secret)


@transaction.atomic
def change_client(client: ApiClient, *, redirect_uris: Sequence[str] = ()) -> None:
    """Save a client. Tokens keep only those of their scopes that it still may ask for."""
    client.save()
    application = client.application
    application.name, application.redirect_uris = client.name, " ".join(redirect_uris)
    application.save()


@transaction.atomic
def renew_secret(client: ApiClient) -> NewSecret:
    """A new secret; the old one ends at once, and so do the tokens that it got."""
    application = client.application
    secret = "" if client.kind == Kind.NATIVE_APP else generate_client_secret()
    application.client_secret = secret
    application.save()
    revoke_tokens_of(client)
    logger.info("client %s of the API got a new secret", client.pk)
    return NewSecret(application.client_id, secret)


@transaction.atomic
def revoke_tokens_of(client: ApiClient) -> None:
    """End everything that was issued to a client."""
    _revoke(application=client.application)


@transaction.atomic
def disconnect(client: ApiClient, *, user: User) -> None:
    """End everything that was issued to an app on behalf of one who agreed to it."""
    _revoke(application=client.application, user=user)
    logger.info("account %s disconnected client %s of the API", user.pk, client.pk)


def _revoke(**whose: Any) -> None:
    """Codes first, and each after whoever is just making tokens of it: those are seen then."""
    Grant.objects.filter(**whose).delete()
    refresh_tokens = RefreshToken.objects.filter(**whose, revoked=None)
    refresh_tokens.update(revoked=timezone.now())
    # Locked, for a use that is noted meanwhile would keep its token from being deleted.
    access_tokens = AccessToken.objects.filter(**whose).select_for_update()
    AccessToken.objects.filter(pk__in=[token.pk for token in access_tokens]).delete()
    # Those that came of a renewal, on which the first update had to wait.
    refresh_tokens.update(revoked=timezone.now())


@transaction.atomic
def revoke_token(token: AccessToken) -> None:
    """End an access token, and the refresh token that would bring the next one."""
    revoke_access_token(token)
    logger.info("access token %s was revoked", token.pk)


# What is past its time


def tokens_past(at: datetime) -> QuerySet[AccessToken]:
    """Access tokens that ran out, once no refresh token hangs on them."""
    return AccessToken.objects.filter(expires__lt=at, refresh_token=None)


def refresh_tokens_past(at: datetime) -> QuerySet[RefreshToken]:
    """Those that ran out, and used ones after the time in which a copy would be noticed.

    The first of a family stays as long as the family lives: it tells since when.
    """
    since = at - timedelta(days=settings.API_LOGIN_DAYS)
    family = RefreshToken.objects.filter(token_family=OuterRef("token_family"))
    is_told = ~Exists(family.filter(pk__lt=OuterRef("pk"))) & Exists(family.filter(revoked=None))
    return RefreshToken.objects.filter(
        (Q(revoked__lt=since) & ~is_told) | Q(revoked=None, access_token__expires__lt=since)
    )


def codes_past(at: datetime) -> QuerySet[Grant]:
    return Grant.objects.filter(expires__lt=at)
