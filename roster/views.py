from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.limits import within_limit
from accounts.models import User
from roster.forms import ClaimForm
from roster.models import RosterClaim
from roster.services import ClaimRefusedError, claim_student


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def claim(request: HttpRequest) -> HttpResponse:
    """Link the account to a student number."""
    user = cast(User, request.user)
    if hasattr(user, "student"):
        return redirect("face")
    form = ClaimForm(request.POST or None)
    if form.is_valid() and _claimed(request, user, form):
        return redirect("face")
    waiting = user.roster_claims.filter(status=RosterClaim.Status.WAITING)
    context = {"form": form, "waiting": waiting.select_related("student").first()}
    return render(request, "roster/claim.html", context)


def _claimed(request: HttpRequest, user: User, form: ClaimForm) -> bool:
    if not within_limit(request, "roster_claim"):
        form.add_error(None, _("Too many tries. Wait an hour, or ask your lecturer."))
        return False
    try:
        waiting = claim_student(user=user, student_id=form.cleaned_data["student_id"])
    except ClaimRefusedError as error:
        form.add_error("student_id", str(error))
        return False
    if waiting is None:
        messages.success(request, _("Your account is linked to the roster."))
    return waiting is None
