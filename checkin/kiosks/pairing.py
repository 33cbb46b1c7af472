"""Pairing: a device becomes a kiosk by a code that somebody reads from the desk.

The code has 40 random bits, opens once and within minutes, and is stored as a hash under
`SECRET_KEY`: who reads the database cannot try all codes in those minutes.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from checkin.models import Kiosk, PairingCode
from checkin.services import KIOSK_TOKEN_PREFIX, issue_kiosk_token

CODE_VALID = timedelta(minutes=10)
CODE_LENGTH = 8
#: Crockford's Base32: no I, L, O and U, which are taken for other signs or make words.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: What people type for what they see.
READ_AS = str.maketrans("ILO", "110", " -")


class PairingRefusedError(Exception):
    """The code opens nothing. It is not said whether it is wrong, used or too old."""


def new_pairing_code(kiosk: Kiosk, *, at: datetime) -> str:
    """A code for this kiosk, in place of one that waits. It is not stored: show it now."""
    code = "".join(secrets.choice(ALPHABET) for _sign in range(CODE_LENGTH))
    PairingCode.objects.update_or_create(
        kiosk=kiosk,
        defaults={"code_hash": _hash_of(code), "made_at": at, "expires_at": at + CODE_VALID},
    )
    return code


@transaction.atomic
def pair_device(typed: str, *, at: datetime) -> tuple[Kiosk, str]:
    """Use a code up; the kiosk and its new token, which ends the old one.

    Raises:
        PairingRefusedError: no kiosk waits with this code.
    """
    code = _as_code(typed)
    waiting = PairingCode.objects.select_for_update().filter(
        code_hash=_hash_of(code), expires_at__gt=at
    )
    found = waiting.select_related("kiosk").first()
    if found is None:
        raise PairingRefusedError(
            _("This code opens nothing, or not any more. Make a new one at the desk, under Kiosks.")
        )
    return found.kiosk, issue_kiosk_token(found.kiosk)


def is_token(typed: str) -> bool:
    """Whether this is a kiosk's token and no code."""
    return typed.startswith(KIOSK_TOKEN_PREFIX)


def as_shown(code: str) -> str:
    """In two parts, so that it is easily read and typed.

    >>> as_shown("7KQ2M9XA")
    '7KQ2-M9XA'
    """
    return f"{code[:4]}-{code[4:]}"


def _as_code(typed: str) -> str:
    return typed.upper().translate(READ_AS)


def _hash_of(code: str) -> str:
    return salted_hmac("checkin.kiosks.pairing", code, algorithm="sha256").hexdigest()
