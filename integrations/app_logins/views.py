"""Log-ins of own apps, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from integrations.api.problems import Problem
from integrations.api.serializers import Strict, TextField, WordsField
from integrations.api.views.base import ApiView
from integrations.app_logins.services import (
    LogInRefusedError,
    Pair,
    SecondFactorNeededError,
    TooManyTriesError,
    log_in,
    log_out,
    renew,
)

#: As long as the limits on guessing look back.
WAIT_S = 300


class LogInBody(Strict):
    username = WordsField(max_length=254, help_text="Or the e-mail address.")
    password = TextField(max_length=4096, trim_whitespace=False)
    code = TextField(
        required=False,
        max_length=16,
        allow_blank=True,
        default="",
        help_text="Of the authenticator app, for accounts that have one.",
    )
    app = WordsField(max_length=100, help_text="How the log-in is called in lists.")


class RefreshBody(Strict):
    refresh = TextField(max_length=4096)


class PairOut(serializers.Serializer):
    access = serializers.CharField(help_text="Send it as Authorization: Bearer …")
    refresh = serializers.CharField(help_text="Renews the pair, once.")
    expires_in = serializers.IntegerField(help_text="Seconds until the access token runs out.")


class OutBody(serializers.Serializer):
    logged_out = serializers.BooleanField()


class LogInView(ApiView):
    authentication_classes = []
    permission_classes = [AllowAny]
    keeps_answers = False

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers["Cache-Control"] = "no-store"
        return response


class LogIn(LogInView):
    bodies = {"POST": LogInBody}
    answers = {"POST": PairOut}

    def post(self, request: Request) -> Response:
        """Log in with name, password and, where the account has one, the code of its app."""
        sent = self.sent()
        return _pair_or_problem(lambda: log_in(request._request, **sent))


class Renew(LogInView):
    bodies = {"POST": RefreshBody}
    answers = {"POST": PairOut}

    def post(self, request: Request) -> Response:
        """A new pair. The refresh token is used up; shown again, it ends the log-in."""
        sent = self.sent()
        return _pair_or_problem(lambda: renew(sent["refresh"], at=timezone.now()))


class LogOut(LogInView):
    bodies = {"POST": RefreshBody}
    answers = {"POST": OutBody}

    def post(self, request: Request) -> Response:
        """End the log-in with all its tokens."""
        log_out(self.sent()["refresh"], at=timezone.now())
        return Response({"logged_out": True})


def _pair_or_problem(act: Callable[[], Pair]) -> Response:
    try:
        pair = act()
    except TooManyTriesError as refusal:
        raise Problem(
            "too_many_requests", str(refusal), headers={"Retry-After": str(WAIT_S)}
        ) from refusal
    except SecondFactorNeededError as refusal:
        raise _challenge("second_factor_needed", refusal) from refusal
    except LogInRefusedError as refusal:
        raise _challenge("login_refused", refusal) from refusal
    return Response({"access": pair.access, "refresh": pair.refresh, "expires_in": pair.expires_in})


def _challenge(code: str, refusal: LogInRefusedError) -> Problem:
    return Problem(code, str(refusal), headers={"WWW-Authenticate": 'Bearer realm="Rollcall"'})
