"""Tags that differ where two answers differ (RFC 9110, 8.8 and 13)."""

from __future__ import annotations

import hashlib
from typing import Any

from django.utils.http import parse_etags
from django.utils.translation import gettext as _
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from integrations.api.problems import Problem


def etag_of(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def etag_of_answer(answer: Any) -> str:
    """The tag that a GET of the same answer has."""
    return etag_of(JSONRenderer().render(answer))


def is_known(request: Request, etag: str) -> bool:
    """Whether the client has this answer already."""
    tags = parse_etags(request.headers.get("If-None-Match", ""))
    return "*" in tags or etag in (tag.removeprefix("W/") for tag in tags)


def check_if_match(request: Request, answer: Any) -> None:
    """Refuse to overwrite what the client has not seen.

    Raises:
        Problem: `If-Match` was sent, and it is another state by now.
    """
    tags = parse_etags(request.headers.get("If-Match", ""))
    if not tags or "*" in tags or etag_of_answer(answer) in tags:
        return
    raise Problem(
        "changed_meanwhile",
        _("Somebody else changed it. Get it again, look, and send the new ETag in If-Match."),
    )
