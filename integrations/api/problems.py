"""Errors by RFC 9457: a stable code, and a sentence that says what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import transaction
from django.http import Http404
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, override
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"

#: Every code, with its status and its title. Codes are never renamed.
PROBLEMS: dict[str, tuple[int, Promise]] = {
    "invalid_request": (400, gettext_lazy("The request is not as described")),
    "unauthenticated": (401, gettext_lazy("A token is needed")),
    "invalid_token": (401, gettext_lazy("The token opens nothing")),
    "login_refused": (401, gettext_lazy("The log-in was refused")),
    "second_factor_needed": (401, gettext_lazy("A second factor is needed")),
    "insufficient_scope": (403, gettext_lazy("The token is not for this")),
    "not_permitted": (403, gettext_lazy("The account may not do this")),
    "not_found": (404, gettext_lazy("There is nothing here")),
    "method_not_allowed": (405, gettext_lazy("This cannot be done here")),
    "not_acceptable": (406, gettext_lazy("No such form of answer")),
    "not_possible": (409, gettext_lazy("This cannot be done now")),
    "cursor_expired": (410, gettext_lazy("What came next is kept no longer")),
    "changed_meanwhile": (412, gettext_lazy("It is not as you saw it any more")),
    "too_large": (413, gettext_lazy("The body is too large")),
    "unsupported_media_type": (415, gettext_lazy("No such form of body")),
    "rows_refused": (422, gettext_lazy("Rows are wrong, nothing was written")),
    "out_of_range": (422, gettext_lazy("Outside what can be answered")),
    "key_used_before": (422, gettext_lazy("The key belongs to another request")),
    "too_many_requests": (429, gettext_lazy("Too many requests")),
    "server_error": (500, gettext_lazy("Something went wrong here")),
}


class Problem(exceptions.APIException):
    """An answer that is an error."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status_code, self.title = PROBLEMS[code]
        super().__init__(detail, code)
        self.code, self.errors, self.headers = code, errors, headers or {}

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "type": f"urn:rollcall:problem:{self.code}",
            "title": str(self.title),
            "status": self.status_code,
            "code": self.code,
            "detail": str(self.detail),
        }
        if self.errors:
            body["errors"] = list(self.errors)
        return body


def invalid_token(detail: Promise) -> Problem:
    # A header holds ASCII only (RFC 6750, section 3): of another language little would stay.
    with override("en"):
        described = str(detail).encode("ascii", "ignore").decode().replace('"', "'")
    challenge = f'Bearer realm="Rollcall", error="invalid_token", error_description="{described}"'
    return Problem("invalid_token", str(detail), headers={"WWW-Authenticate": challenge})


def insufficient_scope(scope: str) -> Problem:
    return Problem(
        "insufficient_scope",
        _("The token is not good for “%(scope)s”. Ask for a token with this scope.")
        % {"scope": scope},
        headers={
            "WWW-Authenticate": (
                f'Bearer realm="Rollcall", error="insufficient_scope", scope="{scope}"'
            )
        },
    )


def not_permitted() -> Problem:
    return Problem(
        "not_permitted",
        _("The account of this token has no role that may do this. Ask an administrator."),
    )


def not_found() -> Problem:
    return Problem(
        "not_found",
        _("Nothing that this account may see has this address. Check it against /api/v1/docs/."),
    )


def checked(serializer: BaseSerializer, *, source: str) -> Any:
    """What was sent, once it is as described. ``source`` is `pointer` or `parameter`.

    Raises:
        Problem: what is wrong, field by field.
    """
    if serializer.is_valid():
        return serializer.validated_data
    errors = list(_flat(serializer.errors, source=source))
    raise Problem(
        "invalid_request",
        _("Correct what stands in “errors” and send it again."),
        errors=errors,
    )


def _flat(errors: Any, *, source: str, path: tuple[str, ...] = ()) -> Iterator[dict[str, Any]]:
    if isinstance(errors, Mapping):
        for name, inner in errors.items():
            below = path if name == "non_field_errors" else (*path, str(name))
            yield from _flat(inner, source=source, path=below)
        return
    for at, inner in enumerate(errors):
        if isinstance(inner, Mapping):
            yield from _flat(inner, source=source, path=(*path, str(at)))
        elif isinstance(inner, list):
            yield from _flat(inner, source=source, path=path)
        else:
            place = pointer(*path) if source == "pointer" else ".".join(path)
            yield {source: place, "code": inner.code, "detail": str(inner)}


def pointer(*path: str | int) -> str:
    """A JSON pointer (RFC 6901)."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return "".join(f"/{step}" for step in steps)


# From exceptions to answers


def problem_response(error: Exception, context: Mapping[str, Any]) -> Response:
    """The handler of REST framework: no error leaves the API in another form."""
    _undo_request()
    problem = error if isinstance(error, Problem) else _problem_of(error, context)
    return Response(
        problem.body(),
        status=problem.status_code,
        headers=dict(problem.headers),
        content_type=CONTENT_TYPE,
    )


def _problem_of(error: Exception, context: Mapping[str, Any]) -> Problem:
    match error:
        case exceptions.NotAuthenticated():
            return Problem(
                "unauthenticated",
                _("Send a header like: Authorization: Bearer your-token. See docs/api.md."),
                headers={"WWW-Authenticate": 'Bearer realm="Rollcall"'},
            )
        case exceptions.ParseError():
            return Problem("invalid_request", _("The body is no JSON: %s") % error.detail)
        case exceptions.MethodNotAllowed():
            allowed = ", ".join(context["view"].allowed_methods)
            return Problem(
                "method_not_allowed",
                _("This address takes %(methods)s.") % {"methods": allowed},
                headers={"Allow": allowed},
            )
        case exceptions.NotAcceptable():
            return Problem("not_acceptable", _("Send the header: Accept: application/json"))
        case exceptions.UnsupportedMediaType():
            return Problem(
                "unsupported_media_type", _("Send the header: Content-Type: application/json")
            )
        case exceptions.Throttled():
            wait_s = max(1, round(getattr(error, "wait", None) or 1))
            return Problem(
                "too_many_requests",
                _("Wait %(seconds)d seconds, then go on more slowly.") % {"seconds": wait_s},
                headers={"Retry-After": str(wait_s)},
            )
        case RequestDataTooBig():
            return too_large()
        case Http404() | exceptions.NotFound():
            return not_found()
        case PermissionDenied() | exceptions.PermissionDenied():
            return not_permitted()
        case SuspiciousOperation() | UnicodeDecodeError():
            return Problem("invalid_request", _("The request cannot be read. Check its bytes."))
    return _fault(error, context)


def too_large() -> Problem:
    return Problem(
        "too_large", _("A body may have 2.5 MB. Split it, for example into lists of 5,000 rows.")
    )


def _fault(error: Exception, context: Mapping[str, Any]) -> Problem:
    request = context.get("request")
    # The address holds ids only, and the query is left out.
    logger.error(
        "%s %s failed", getattr(request, "method", ""), getattr(request, "path", ""), exc_info=error
    )
    return Problem(
        "server_error", _("It was not your request. Try again; if it stays, tell the operators.")
    )


def _undo_request() -> None:
    """What an outer transaction holds of a refused request is not kept."""
    connection = transaction.get_connection()
    if connection.in_atomic_block and connection.settings_dict["ATOMIC_REQUESTS"]:
        transaction.set_rollback(True)
