"""What we ask of OAuth 2.0 beyond the toolkit."""

from __future__ import annotations

import hashlib
from typing import Any

from oauth2_provider.models import Application, Grant, RefreshToken
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauthlib.oauth2 import InvalidGrantError


class Validator(OAuth2Validator):
    """Clients that are switched off get nothing; authorisation codes are stored as hashes.

    The toolkit hashes tokens and secrets, but keeps a code as it is for its one minute.
    """

    def _load_application(self, client_id: str, request: Any) -> Application | None:
        application: Application | None = super()._load_application(client_id, request)
        if application is None or not _is_in_use(application):
            request.client = None
            return None
        return application

    def validate_refresh_token(
        self, refresh_token: str, client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        valid = super().validate_refresh_token(refresh_token, client, request, *args, **kwargs)
        return bool(valid and request.user is not None and request.user.is_active)

    def _save_bearer_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        """Not for a code or a refresh token that was used or revoked since it was looked at.

        The toolkit, which opens a transaction around this, does not ask again.
        """
        if not _still_counts(request):
            raise InvalidGrantError(request=request)
        super()._save_bearer_token(token, request, *args, **kwargs)

    def validate_user(self, *args: Any, **kwargs: Any) -> bool:
        """Nobody gives a password here. The toolkit would try it before it looks at the grant
        type, past the limits on guessing, and the error would tell whether it was right.
        """
        return False

    # Authorisation codes

    def save_authorization_code(
        self, client_id: str, code: dict[str, Any], request: Any, *args: Any, **kwargs: Any
    ) -> None:
        hashed = {**code, "code": hash_code(code["code"])}
        super().save_authorization_code(client_id, hashed, request, *args, **kwargs)

    def validate_code(
        self, client_id: str, code: str, client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        valid = super().validate_code(client_id, hash_code(code), client, request, *args, **kwargs)
        return bool(valid and request.user.is_active)

    def confirm_redirect_uri(
        self, client_id: str, code: str, redirect_uri: str, client: Any, *args: Any, **kwargs: Any
    ) -> bool:
        return bool(
            super().confirm_redirect_uri(
                client_id, hash_code(code), redirect_uri, client, *args, **kwargs
            )
        )

    def invalidate_authorization_code(
        self, client_id: str, code: str, request: Any, *args: Any, **kwargs: Any
    ) -> None:
        super().invalidate_authorization_code(client_id, hash_code(code), request, *args, **kwargs)

    def get_code_challenge(self, code: str, request: Any) -> Any:
        return super().get_code_challenge(hash_code(code), request)

    def get_code_challenge_method(self, code: str, request: Any) -> Any:
        return super().get_code_challenge_method(hash_code(code), request)

    def get_authorization_code_scopes(
        self, client_id: str, code: str, redirect_uri: str, request: Any
    ) -> Any:
        return super().get_authorization_code_scopes(
            client_id, hash_code(code), redirect_uri, request
        )

    def _check_and_set_request_resource(self, request: Any) -> None:
        """The toolkit looks the code up once more here, by the request."""
        if request.grant_type != "authorization_code":
            super()._check_and_set_request_resource(request)
            return
        code = request.code
        request.code = hash_code(code)
        try:
            super()._check_and_set_request_resource(request)
        finally:
            request.code = code


def _still_counts(request: Any) -> bool:
    """Locks what brings the tokens, so that whoever revokes it waits and sees them."""
    if request.grant_type == "authorization_code":
        code = hash_code(request.code)
        codes = Grant.objects.filter(application=request.client, code=code)
        return codes.select_for_update().first() is not None
    if request.grant_type == "refresh_token":
        live = RefreshToken.objects.filter(pk=request.refresh_token_instance.pk, revoked=None)
        return live.select_for_update().first() is not None
    return True


def hash_code(code: str) -> str:
    """160 random bits need no slow hash."""
    return hashlib.sha256(code.encode()).hexdigest()


def _is_in_use(application: Application) -> bool:
    return hasattr(application, "client") and application.client.is_in_use
