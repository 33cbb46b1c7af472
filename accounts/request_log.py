"""Gives each request an id, which is in its log lines and in its answer, and writes one line."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.functional import LazyObject

from accounts.logs import bound, request_id_of

logger = logging.getLogger(__name__)

View = Callable[[HttpRequest], HttpResponse]
HEADER = "X-Request-ID"


def request_log(get_response: View) -> View:
    def middleware(request: HttpRequest) -> HttpResponse:
        request_id = request_id_of(request.headers.get(HEADER, ""))
        with bound(request_id=request_id, user=lambda: _account_of(request)):
            started_s = time.monotonic()
            response = get_response(request)
            _write(request, response, time.monotonic() - started_s)
        response.headers[HEADER] = request_id
        return response

    return middleware


def _write(request: HttpRequest, response: HttpResponse, took_s: float) -> None:
    """The route, not the path: a path may hold a link that opens an account."""
    match = request.resolver_match
    if match is None and response.status_code < 400:
        return  # a file, or a question whether the server is well
    route = f"/{match.route}" if match else "(no page)"
    took_ms = round(took_s * 1000)
    logger.info("%s %s %d in %d ms", request.method, route, response.status_code, took_ms)


def _account_of(request: HttpRequest) -> int | None:
    """The account, if somebody has asked for it already: a log line asks no database."""
    user = getattr(request, "_cached_user", None)  # of AuthenticationMiddleware
    if user is None:
        user = request.__dict__.get("user")
    return None if isinstance(user, LazyObject) else getattr(user, "pk", None)
