"""A client of the API in the test's own process, and tokens for it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import AccessToken, set_token_value

from accounts.models import User
from integrations.oauth.models import ApiClient
from integrations.oauth.scopes import SCOPES
from integrations.oauth.services import NewSecret, register_client

API = "/api/v1/"


def a_machine(
    account: User, *, name: str = "", scopes: Iterable[str] = SCOPES
) -> tuple[ApiClient, NewSecret]:
    """Another system that acts as this account."""
    client = ApiClient(
        name=name or f"System of {account.username}",
        kind=ApiClient.Kind.MACHINE,
        scopes=list(scopes),
        service_account=account,
    )
    return client, register_client(client)


def an_app(
    *, name: str = "Timetable", native: bool = False, scopes: Iterable[str] = SCOPES
) -> tuple[ApiClient, NewSecret]:
    """An app for people."""
    kind = ApiClient.Kind.NATIVE_APP if native else ApiClient.Kind.WEB_APP
    client = ApiClient(name=name, kind=kind, scopes=list(scopes))
    address = "http://127.0.0.1/back" if native else "https://app.example.edu/back"
    return client, register_client(client, redirect_uris=[address])


def a_token(
    client: ApiClient,
    *,
    user: User | None = None,
    scopes: Iterable[str] | None = None,
    expires: datetime | None = None,
) -> str:
    """As the token endpoint stores one."""
    raw = secrets.token_urlsafe(24)
    token = AccessToken(
        application=client.application,
        user=user,
        scope=" ".join(client.scopes if scopes is None else scopes),
        expires=expires or timezone.now() + timedelta(hours=1),
    )
    set_token_value(token, raw)
    token.save()
    return raw


class Api:
    """Sends JSON with a token, as other systems do."""

    def __init__(self, token: str = "") -> None:
        self.token = token
        self._client = Client(raise_request_exception=False)

    def get(self, path: str, asked: dict[str, Any] | None = None, **headers: str) -> HttpResponse:
        return self._client.get(API + path, asked or {}, headers=self._headers(headers))

    def write(self, method: str, path: str, body: Any, **headers: str) -> HttpResponse:
        return self._client.generic(
            method,
            API + path,
            body if isinstance(body, bytes) else json.dumps(body).encode(),
            content_type="application/json",
            headers=self._headers(headers),
        )

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        own = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return own | {name.replace("_", "-"): value for name, value in more.items()}


def api_of(account: User, *, scopes: Iterable[str] = SCOPES) -> Api:
    """As a system that acts as this account."""
    client, _secret = a_machine(account, scopes=scopes, name=f"System {secrets.token_hex(4)}")
    return Api(a_token(client))


def all_pages(api: Api, path: str, **asked: Any) -> list[dict[str, Any]]:
    """Every row, page by page."""
    rows, cursor = [], None
    while True:
        answer = api.get(path, asked | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        rows += page["results"]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows
