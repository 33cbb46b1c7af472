"""`Authorization: Bearer`, with a token of OAuth 2.0 or of an own app."""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from accounts.models import User
from integrations.api.caller import Caller, InvalidTokenError
from integrations.api.problems import invalid_token
from integrations.app_logins.selectors import caller_with_jwt
from integrations.oauth.selectors import caller_with

#: A JSON web token has three parts; the others have one.
DOTS_IN_JWT = 2


class BearerAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[User, Caller] | None:
        header = get_authorization_header(request)
        if not header:
            return None
        try:
            caller = _caller(header, request.build_absolute_uri(request.path))
        except InvalidTokenError as refusal:
            raise invalid_token(refusal.text) from refusal
        return caller.user, caller

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="Rollcall"'


def _caller(header: bytes, address: str) -> Caller:
    scheme, _space, token_bytes = header.partition(b" ")
    token = token_bytes.strip().decode("ascii", errors="replace")
    if scheme.lower() != b"bearer" or not token or " " in token:
        raise InvalidTokenError(_("Send a header like: Authorization: Bearer your-token"))
    if token.count(".") == DOTS_IN_JWT:
        return caller_with_jwt(token, at=timezone.now())
    return caller_with(token, address=address, at=timezone.now())
