"""Signatures after the Standard Webhooks scheme (standardwebhooks.com, version 1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime

SECRET_PREFIX = "whsec_"  # noqa: S105 -- marks leaked secrets for secret scanners
SECRET_BYTES = 32


def new_secret() -> str:
    """A secret as its receiver enters it, like ``whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw``."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signature(secret: str, *, event_id: str, at: datetime, body: bytes) -> str:
    """HMAC-SHA256 of id, timestamp and body, as it stands in `webhook-signature`."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{event_id}.{int(at.timestamp())}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def headers_of(valid: Iterable[str], *, event_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of one delivery, with a signature for each secret that is valid now."""
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(
            signature(secret, event_id=event_id, at=at, body=body) for secret in valid
        ),
    }
