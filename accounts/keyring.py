"""The keys that encrypt what the database must not tell: `TEMPLATE_KEYS`."""

from __future__ import annotations

import functools

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def keyring() -> MultiFernet:
    """The first key encrypts, all of them decrypt.

    Raises:
        ImproperlyConfigured: `TEMPLATE_KEYS` holds something that is no key.
    """
    return _keyring(tuple(settings.TEMPLATE_KEYS))


@functools.cache
def _keyring(keys: tuple[str, ...]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as error:
        raise ImproperlyConfigured(
            "TEMPLATE_KEYS holds something that is no key. Expected one or more URL-safe base64 "
            "keys of 32 bytes, separated by commas; `make setup` writes one to .env."
        ) from error
