from __future__ import annotations

from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.contrib.auth.models import AnonymousUser

from accounts.models import User


def has_second_factor(user: User | AnonymousUser) -> bool:
    """An authenticator app or a passkey; recovery codes are no factor of their own."""
    found: bool = is_mfa_enabled(user, [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN])
    return found
