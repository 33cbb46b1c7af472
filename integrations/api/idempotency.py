"""A write that is sent twice is carried out once.

Everything happens in one transaction that begins with the row of the key: a second request with
the same key waits at the unique constraint until the first is through, and then finds its answer.
A write that was refused, or that a crash interrupted, leaves no row, and may be tried again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.keyring import keyring
from integrations.api.models import KeptAnswer
from integrations.api.problems import Problem

KEPT_FOR = timedelta(hours=24)
MAX_KEY_LENGTH = 255
KEY = re.compile(rf"[!-~]{{1,{MAX_KEY_LENGTH}}}")
REPLAYED = "Idempotent-Replayed"


def answer_once(request: Request, carry_out: Callable[[], Response]) -> Response:
    """Carry out a write, or answer as before if its `Idempotency-Key` was used for it already.

    Raises:
        Problem: the key is none, or was used for another request; or the write was refused.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return carry_out()
    _check_key(key)
    client, key_hash, request_hash = request.auth.key, _hash(key), _request_hash(request)
    with transaction.atomic():
        mine = _claim(client, key_hash, request_hash, at=timezone.now())
        if mine is None:
            kept = KeptAnswer.objects.get(client=client, key_hash=key_hash)
            return _again(kept, request_hash)
        answer = carry_out()
        _keep(mine, answer)
    return answer


def answers_before(moment: datetime) -> QuerySet[KeptAnswer]:
    return KeptAnswer.objects.filter(at__lt=moment)


def _check_key(key: str) -> None:
    if not KEY.fullmatch(key):
        raise Problem(
            "invalid_request",
            _("An Idempotency-Key has 1 to %(most)d letters, digits or signs, without spaces.")
            % {"most": MAX_KEY_LENGTH},
            errors=[
                {
                    "parameter": "Idempotency-Key",
                    "code": "invalid",
                    "detail": _("Send for example a new UUID."),
                }
            ],
        )


def _claim(client: str, key_hash: str, request_hash: str, *, at: datetime) -> KeptAnswer | None:
    """The row of this key, or None where another request has it."""
    of_key = KeptAnswer.objects.filter(client=client, key_hash=key_hash)
    of_key.filter(at__lt=at - KEPT_FOR).delete()
    try:
        with transaction.atomic():
            return KeptAnswer.objects.create(
                client=client, key_hash=key_hash, request_hash=request_hash, at=at
            )
    except IntegrityError:
        return None


def _keep(mine: KeptAnswer, answer: Response) -> None:
    mine.status = answer.status_code
    mine.sealed_body = keyring().encrypt(JSONRenderer().render(answer.data))
    mine.etag = answer.headers.get("ETag", "")
    mine.student_id = getattr(answer, "about_student", None)
    mine.save()


def _again(kept: KeptAnswer, request_hash: str) -> Response:
    if kept.request_hash != request_hash:
        raise Problem(
            "key_used_before",
            _("This Idempotency-Key was sent with another request. Take a new one for each write."),
        )
    body = json.loads(keyring().decrypt(bytes(kept.sealed_body)))
    headers = {REPLAYED: "true"} | ({"ETag": kept.etag} if kept.etag else {})
    return Response(body, status=kept.status, headers=headers)


def _request_hash(request: Request) -> str:
    body: Any = request.data
    return _hash(
        "\n".join([str(request.method), request.get_full_path(), json.dumps(body, sort_keys=True)])
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
