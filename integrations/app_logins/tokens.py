"""The JSON web tokens of own apps. Nothing of them is stored but their ids."""

from __future__ import annotations

from typing import Any

from django.utils.timezone import now
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token
from rest_framework_simplejwt.utils import datetime_from_epoch

from integrations.app_logins.models import AppLogin

LOGIN_CLAIM = "login"


class AppRefreshToken(RefreshToken):
    """Bound to its log-in. The package would store each one as it is, readable."""

    access_token_class = AccessToken

    @classmethod
    def of(cls, login: AppLogin) -> AppRefreshToken:
        token = Token.for_user.__func__(cls, login.user)  # type: ignore[attr-defined]
        token[LOGIN_CLAIM] = str(login.key)
        OutstandingToken.objects.create(
            user=login.user,
            jti=token["jti"],
            token="",
            created_at=now(),
            expires_at=datetime_from_epoch(token["exp"]),
        )
        return token

    def check_blacklist(self) -> None:
        """Not while it is read: who shows a used one is more than refused, see `renew`."""

    @property
    def was_used(self) -> bool:
        return BlacklistedToken.objects.filter(token__jti=self["jti"]).exists()

    def outstand(self) -> Any:
        raise NotImplementedError("use AppRefreshToken.of(login)")
