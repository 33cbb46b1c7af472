"""The desk's page of channels: everybody's for administrators, with their addresses masked."""

from __future__ import annotations

import re
from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.lookups import OfferedLookupsOnly
from accounts.models import User
from integrations.notifications.forms import ChannelForm, form_for
from integrations.notifications.models import NotificationChannel, Told
from integrations.notifications.selectors import channels_of
from integrations.notifications.services import open_channel, send_test, set_address


@admin.register(NotificationChannel)
class NotificationChannelAdmin(OfferedLookupsOnly, admin.ModelAdmin):
    form = ChannelForm
    change_form_template = "admin/integrations/channel_change.html"
    list_display = ["name", "owner", "course", "shown", "what", "rhythm", "last_sent_at"]
    list_filter = ["rhythm"]
    list_select_related = ["owner", "course"]
    search_fields = ["name", "owner__username"]
    readonly_fields = ["owner", "shown", "last_sent_at", "last_said"]
    actions = ["test"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[NotificationChannel]:
        own = channels_of(cast(User, request.user)).values("pk")
        return super().get_queryset(request).filter(pk__in=own)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return list(self.readonly_fields) if obj else []

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        kwargs["form"] = form_for(cast(User, request.user))
        return super().get_form(request, obj, change, **kwargs)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What waits goes with its channel: nobody is asked for a permission that nobody has."""
        listed, counts, _needed, protected = super().get_deleted_objects(objs, request)
        return listed, counts, set(), protected

    @admin.display(description=_("what"))
    def what(self, channel: NotificationChannel) -> str:
        return ", ".join(re.split("[:：]", str(Told(told).label))[0] for told in channel.told)

    def save_model(
        self, request: HttpRequest, obj: NotificationChannel, form: Any, change: bool
    ) -> None:
        url = form.cleaned_data.get("url")
        if not change:
            open_channel(obj, owner=cast(User, request.user), url=url)
            return
        if url:
            set_address(obj, url)
        super().save_model(request, obj, form, change)

    @admin.action(description=_("Send a test"), permissions=["change"])
    def test(self, request: HttpRequest, channels: QuerySet[NotificationChannel]) -> None:
        for channel in channels:
            send_test(channel, at=timezone.now())
        self.message_user(
            request, _("A test is on its way. Load this page again to see the answer.")
        )
