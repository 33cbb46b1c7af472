"""How often one account, or one kiosk, may do what is costly or could be used to guess."""

from __future__ import annotations

from allauth.core import ratelimit
from django.http import HttpRequest


def within_limit(request: HttpRequest, action: str) -> bool:
    """Count one use; False when the account has used up what `ACCOUNT_RATE_LIMITS` gives it."""
    return bool(ratelimit.consume(request, action=action, user=request.user))


def use_one(request: HttpRequest, action: str, key: str) -> bool:
    """Count one use of this key, which is no account; False when there is none left."""
    return bool(ratelimit.consume(request, action=action, key=key))


def has_some_left(request: HttpRequest, action: str, key: str) -> bool:
    """Whether this key may be used once more, without counting it."""
    return bool(ratelimit.consume(request, action=action, key=key, dry_run=True))
