"""Secrets of other systems, encrypted with `TEMPLATE_KEYS` and sealed to what they belong to."""

from __future__ import annotations

from cryptography.fernet import InvalidToken

from accounts.keyring import keyring


class SecretUnreadableError(Exception):
    """None of the keys opens a secret, or it was sealed for something else."""


def seal_secret(secret: str, *, owner: str) -> bytes:
    """Encrypt a secret for its owner, like ``webhook|<uuid>``."""
    return keyring().encrypt(f"{owner}|{secret}".encode())


def open_secret(sealed: bytes | memoryview, *, owner: str) -> str:
    """Decrypt what `seal_secret` made for the same owner.

    Raises:
        SecretUnreadableError: no key opens it, or it belongs to something else.
    """
    try:
        plain = keyring().decrypt(bytes(sealed)).decode()
    except InvalidToken as error:
        raise SecretUnreadableError(
            f"none of TEMPLATE_KEYS opens the secret of {owner}: bring the key back or make a new "
            "secret"
        ) from error
    if not plain.startswith(f"{owner}|"):
        raise SecretUnreadableError(f"the secret of {owner} was sealed for something else")
    return plain.removeprefix(f"{owner}|")
