"""Encryption of what is kept of a face.

Fernet (AES-128-CBC with HMAC-SHA256) under the first of `TEMPLATE_KEYS`; the others still open
what they sealed. The owner and the model are sealed in with the vector, so that a row copied to
another student does not open.
"""

from __future__ import annotations

import numpy as np
from cryptography.fernet import InvalidToken
from django.conf import settings

from accounts.keyring import keyring
from recognition.engine.types import Embedding


class TemplateUnreadableError(Exception):
    """A sealed vector that none of the keys opens, or that belongs to somebody else."""


def _header(student_pk: int, model_id: str) -> bytes:
    return f"{student_pk}|{model_id}|".encode()


def seal_vector(vector: Embedding, *, student_pk: int, model_id: str) -> bytes:
    """Encrypt an embedding for one student and one model."""
    if not np.isfinite(vector).all():
        raise ValueError("the vector holds NaN or infinity; it cannot be a template")
    plain = _header(student_pk, model_id) + np.asarray(vector, dtype="<f4").tobytes()
    return keyring().encrypt(plain)


def open_vector(sealed: bytes, *, student_pk: int, model_id: str) -> Embedding:
    """Decrypt what `seal_vector` made for the same student and model.

    Raises:
        TemplateUnreadableError: no key opens it, or it was sealed for somebody else.
    """
    try:
        plain = keyring().decrypt(sealed)
    except InvalidToken as error:
        raise TemplateUnreadableError(
            f"none of the {len(settings.TEMPLATE_KEYS)} TEMPLATE_KEYS opens the template of "
            f"student {student_pk}: bring the key back or ask the student to re-enrol"
        ) from error
    header = _header(student_pk, model_id)
    if not plain.startswith(header):
        raise TemplateUnreadableError(
            f"the template stored for student {student_pk} and model {model_id} was sealed for "
            "another student or model: revoke it and ask the student to re-enrol"
        )
    return np.frombuffer(plain[len(header) :], dtype="<f4").astype(np.float32)
