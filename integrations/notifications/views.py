"""The page on which an account says where it wants to be told."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.limits import within_limit
from accounts.models import User
from integrations.notifications.channels import ChannelRefusedError
from integrations.notifications.forms import ChannelForm, form_for
from integrations.notifications.models import NotificationChannel
from integrations.notifications.selectors import tellable
from integrations.notifications.services import open_channel, send_test


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def own_channels(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    form: Any = form_for(user)(request.POST or None, label_suffix="")
    if form.is_bound and form.is_valid() and _opened(user, form):
        messages.success(request, _("The channel is kept. Send a test to see whether it arrives."))
        return redirect("own_channels")
    context = {
        "form": form,
        "channels": NotificationChannel.objects.filter(owner=user).select_related("course"),
        "tellable": tellable(user),
    }
    return render(request, "integrations/own_channels.html", context)


def _opened(user: User, form: ChannelForm) -> bool:
    if NotificationChannel.objects.filter(owner=user, name=form.cleaned_data["name"]).exists():
        form.add_error("name", _("You have a channel of this name already."))
        return False
    try:
        open_channel(form.save(commit=False), owner=user, url=form.cleaned_data["url"])
    except ChannelRefusedError as refusal:
        form.add_error(None, str(refusal))
        return False
    return True


@require_POST
@login_required
def test_own_channel(request: HttpRequest, pk: int) -> HttpResponse:
    channel = get_object_or_404(NotificationChannel, owner=request.user, pk=pk)
    if not within_limit(request, "channel_test"):
        messages.error(request, _("You sent many tests. Wait an hour, then try again."))
        return redirect("own_channels")
    send_test(channel, at=timezone.now())
    messages.success(request, _("A test is on its way. Load this page again to see the answer."))
    return redirect("own_channels")


@require_POST
@login_required
def remove_own_channel(request: HttpRequest, pk: int) -> HttpResponse:
    get_object_or_404(NotificationChannel, owner=request.user, pk=pk).delete()
    messages.success(request, _("The channel is removed."))
    return redirect("own_channels")
