from __future__ import annotations

import logging

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django.views.i18n import set_language

from accounts.language import keep_choice, known_language
from accounts.selectors import has_second_factor

logger = logging.getLogger(__name__)


@require_safe
@never_cache
@login_required
def me(request: HttpRequest) -> HttpResponse:
    context = {
        # Set by an app that this one does not know.
        "student": getattr(request.user, "student", None),
        "has_second_factor": has_second_factor(request.user),
    }
    return render(request, "accounts/me.html", context)


@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """By Django's own view, and kept with the account."""
    language = known_language(request.POST.get("language"))
    if language:
        keep_choice(request, language)
    return set_language(request)


def too_many_requests(request: HttpRequest) -> HttpResponse:
    page = request.resolver_match.view_name if request.resolver_match else "unknown"
    logger.warning("too many requests: %s", page)
    return render(request, "429.html", status=429)
