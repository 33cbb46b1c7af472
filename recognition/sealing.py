"""Encryption of what is kept of a face.

Fernet (AES-128-CBC with HMAC-SHA256) under the first of `TEMPLATE_KEYS`; the others still open
what they sealed. The owner and the model are sealed in with it, so that a row copied to another
student does not open.
"""

from __future__ import annotations

import numpy as np
from cryptography.fernet import InvalidToken
from django.conf import settings

from accounts.keyring import keyring
from recognition.engine.template_updates import TemplateParts
from recognition.engine.types import Embedding

#: Stands where a template has its model.
_PICTURE = "jpeg"
#: Stands before the model, so that parts never open as a vector.
_PARTS = "parts of "


class TemplateUnreadableError(Exception):
    """A sealed vector or picture that none of the keys opens, or that belongs to somebody else."""


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
    plain = _opened(sealed, _header(student_pk, model_id), student_pk)
    return np.frombuffer(plain, dtype="<f4").astype(np.float32)


def seal_parts(parts: TemplateParts, *, student_pk: int, model_id: str) -> bytes:
    """Encrypt the single embeddings of a template for one student and one model."""
    rows = np.concatenate([parts.enrolment, parts.learned])
    if not np.isfinite(rows).all():
        raise ValueError("the parts hold NaN or infinity; they cannot make a template")
    counts = np.array([len(parts.enrolment), len(parts.learned)], dtype="<u2")
    plain = _header(student_pk, _PARTS + model_id) + counts.tobytes()
    return keyring().encrypt(plain + np.asarray(rows, dtype="<f4").tobytes())


def open_parts(sealed: bytes, *, student_pk: int, model_id: str) -> TemplateParts:
    """Decrypt what `seal_parts` made for the same student and model.

    Raises:
        TemplateUnreadableError: no key opens it, or it was sealed for somebody else.
    """
    plain = _opened(sealed, _header(student_pk, _PARTS + model_id), student_pk)
    enrolled, learned = (int(count) for count in np.frombuffer(plain[:4], dtype="<u2"))
    rows = np.frombuffer(plain[4:], dtype="<f4").reshape(enrolled + learned, -1)
    rows = rows.astype(np.float32)
    return TemplateParts(rows[:enrolled], rows[enrolled:])


def seal_picture(jpeg: bytes, *, student_pk: int) -> bytes:
    """Encrypt a picture of one student."""
    return keyring().encrypt(_header(student_pk, _PICTURE) + jpeg)


def open_picture(sealed: bytes, *, student_pk: int) -> bytes:
    """Decrypt what `seal_picture` made for the same student.

    Raises:
        TemplateUnreadableError: no key opens it, or it was sealed for somebody else.
    """
    return _opened(sealed, _header(student_pk, _PICTURE), student_pk)


def _opened(sealed: bytes, header: bytes, student_pk: int) -> bytes:
    try:
        plain = keyring().decrypt(sealed)
    except InvalidToken as error:
        raise TemplateUnreadableError(
            f"none of the {len(settings.TEMPLATE_KEYS)} TEMPLATE_KEYS opens what is stored of "
            f"student {student_pk}: bring the key back or ask the student to re-enrol"
        ) from error
    if not plain.startswith(header):
        raise TemplateUnreadableError(
            f"what is stored for student {student_pk} was sealed for another student or model: "
            "revoke it and ask the student to re-enrol"
        )
    return plain[len(header) :]
