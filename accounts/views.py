from __future__ import annotations

import logging

from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

logger = logging.getLogger(__name__)


@require_safe
@never_cache
@login_required
def me(request: HttpRequest) -> HttpResponse:
    context = {
        # Set by an app that this one does not know.
        "student": getattr(request.user, "student", None),
        "has_second_factor": is_mfa_enabled(request.user, [Authenticator.Type.TOTP]),
    }
    return render(request, "accounts/me.html", context)


def too_many_requests(request: HttpRequest) -> HttpResponse:
    page = request.resolver_match.view_name if request.resolver_match else "unknown"
    logger.warning("too many requests: %s", page)
    return render(request, "429.html", status=429)
