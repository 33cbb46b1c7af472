"""The desk's pages of webhooks and of what was sent to them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Count, ManyToManyField, Max, Q, QuerySet
from django.forms import ModelMultipleChoiceField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.events import EventKind
from accounts.lookups import OfferedLookupsOnly
from accounts.models import User
from integrations.events.selectors import kinds_for
from integrations.targets import NotReachedError, TargetRefusedError, target_of
from integrations.webhooks.models import WebhookDelivery, WebhookEndpoint
from integrations.webhooks.selectors import endpoints_of
from integrations.webhooks.services import (
    open_endpoint,
    rotate_secret,
    send_again,
    send_test,
    switch_off,
    switch_on,
)
from roster.scoping import ReadOnlyAdmin
from roster.selectors import courses_of

State = WebhookDelivery.State

SIGNS = {
    State.WAITING: "○",
    State.DELIVERED: "✓",
    State.GIVEN_UP: "✕",
    State.WITHHELD: "–",
}
SHOWN_DELIVERIES = 10

#: Beginnings of the names of events, and what stands over their boxes.
SUBJECTS = {
    "attendance": gettext_lazy("Attendance"),
    "session": gettext_lazy("Class sessions"),
    "registration": gettext_lazy("Faces"),
    "consent": gettext_lazy("Faces"),
    "student": gettext_lazy("Roster"),
    "enrolment": gettext_lazy("Roster"),
    "alert": gettext_lazy("Alerts and appeals"),
    "appeal": gettext_lazy("Alerts and appeals"),
}


def kind_choices(kinds: list[EventKind]) -> list[Any]:
    """Choices of events, in groups by what they are about."""
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for kind in kinds:
        subject = SUBJECTS.get(kind.name.split(".")[0], kind.name)
        groups[str(subject)].append((kind.name, f"{kind.label} ({kind.name})"))
    return list(groups.items())


class EndpointForm(forms.ModelForm):
    url = forms.URLField(
        label=gettext_lazy("Address"),
        max_length=500,
        assume_scheme="https",
        widget=forms.URLInput(attrs={"size": 60}),
        help_text=gettext_lazy("Like https://hr.example.edu/hooks. It gets a POST for each event."),
    )
    kinds = forms.MultipleChoiceField(
        label=gettext_lazy("Events"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None chosen: all of them, also those that are added later."),
    )

    class Meta:
        model = WebhookEndpoint
        fields = ["name", "url", "kinds", "courses"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "kinds" in self.fields:
            owner = self.instance.owner or self.user
            cast(forms.MultipleChoiceField, self.fields["kinds"]).choices = kind_choices(
                kinds_for(owner)
            )

    #: Set by the page for each request.
    user: User

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            target_of(url)
        except (TargetRefusedError, NotReachedError) as error:
            raise ValidationError(str(error)) from error
        return url


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(OfferedLookupsOnly, admin.ModelAdmin):
    form = EndpointForm
    change_form_template = "admin/integrations/webhook_change.html"
    list_display = ["name", "host", "active", "waiting_count", "last_delivered", "owner"]
    list_select_related = ["owner"]
    search_fields = ["name", "url"]
    filter_horizontal = ["courses"]
    readonly_fields = ["active", "owner", "deliveries"]
    actions = ["test", "renew_secret", "stop", "start"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        own = endpoints_of(cast(User, request.user)).values("pk")
        waiting = Count("deliveries", filter=Q(deliveries__state=State.WAITING))
        last = Max("deliveries__ended_at", filter=Q(deliveries__state=State.DELIVERED))
        rows = super().get_queryset(request).filter(pk__in=own)
        return rows.annotate(waiting=waiting, delivered_at=last).order_by("name")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return list(self.readonly_fields) if obj else []

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.user = cast(User, request.user)
        return form

    def formfield_for_manytomany(
        self, db_field: ManyToManyField[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelMultipleChoiceField[Any] | None:
        if db_field.name == "courses":
            kwargs["queryset"] = courses_of(cast(User, request.user))
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    # Columns

    @admin.display(description=gettext_lazy("sent to"), ordering="url")
    def host(self, endpoint: WebhookEndpoint) -> str:
        return endpoint.url.split("/")[2] if endpoint.url.count("/") > 1 else endpoint.url

    @admin.display(description=gettext_lazy("state"), ordering="disabled_at")
    def active(self, endpoint: WebhookEndpoint) -> str:
        if not endpoint.is_active:
            sign, word = "✕", endpoint.get_disabled_reason_display()
        elif endpoint.is_quiet(timezone.now()):
            sign, word = "○", _quiet_in_words(endpoint)
        else:
            sign, word = "●", _("active")
        return format_html('<span aria-hidden="true">{}</span> {}', sign, word)

    @admin.display(description=gettext_lazy("waiting"), ordering="waiting")
    def waiting_count(self, endpoint: WebhookEndpoint) -> str:
        return _log_link(endpoint, str(endpoint.waiting), state=State.WAITING)  # type: ignore[attr-defined]

    @admin.display(description=gettext_lazy("last delivered"), ordering="delivered_at")
    def last_delivered(self, endpoint: WebhookEndpoint) -> Any:
        return endpoint.delivered_at  # type: ignore[attr-defined]

    @admin.display(description=gettext_lazy("deliveries"))
    def deliveries(self, endpoint: WebhookEndpoint) -> str:
        """The newest of them, with how the last try of each ended."""
        newest = endpoint.deliveries.select_related("message").prefetch_related("attempts")
        lines = [
            (
                reverse("admin:integrations_webhookdelivery_change", args=[delivery.pk]),
                delivery.message.kind,
                SIGNS[State(delivery.state)],
                delivery.get_state_display(),
                _last_answer(delivery),
            )
            for delivery in newest.order_by("-pk")[:SHOWN_DELIVERIES]
        ]
        if not lines:
            return _("Nothing was sent yet. Send a test to see whether it arrives.")
        return format_html(
            '<ul class="webhook-log">{}</ul>{}',
            format_html_join(
                "",
                '<li><a href="{}">{}</a> <span aria-hidden="true">{}</span> {} '
                '<span class="quiet">{}</span></li>',
                lines,
            ),
            _log_link(endpoint, _("All deliveries")),
        )

    # Pages

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The log goes with its webhook: nobody is asked for a permission that nobody has."""
        listed, counts, _needed, protected = super().get_deleted_objects(objs, request)
        return listed, counts, set(), protected

    def save_model(
        self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool
    ) -> None:
        if change:
            if "url" in form.changed_data:
                obj.quiet_until = None  # it was another receiver that asked for it
            super().save_model(request, obj, form, change)
            return
        owner = cast(User, request.user)
        request.webhook_secret = open_endpoint(  # type: ignore[attr-defined]
            obj, owner=owner, at=timezone.now()
        )

    def response_add(
        self, request: HttpRequest, obj: WebhookEndpoint, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._secret_page(request, obj, request.webhook_secret)  # type: ignore[attr-defined]

    def _secret_page(
        self, request: HttpRequest, endpoint: WebhookEndpoint, secret: str
    ) -> HttpResponse:
        """Shows the secret in the answer itself: a redirect would have to keep it somewhere."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Secret of the webhook"),
            "endpoint": endpoint,
            "secret": secret,
        }
        response = render(request, "admin/integrations/webhook_secret.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    # Actions

    @admin.action(description=gettext_lazy("Send a test"), permissions=["change"])
    def test(self, request: HttpRequest, endpoints: QuerySet[WebhookEndpoint]) -> None:
        for endpoint in endpoints:
            if not endpoint.is_active:
                text = _("“%(name)s” is switched off: switch it on first.")
                self.message_user(request, text % {"name": endpoint}, messages.ERROR)
                continue
            send_test(endpoint, at=timezone.now())
            self.message_user(
                request,
                _("A test is on its way to “%(name)s”. Load this page again to see the answer.")
                % {"name": endpoint},
            )

    @admin.action(description=gettext_lazy("New secret"), permissions=["change"])
    def renew_secret(
        self, request: HttpRequest, endpoints: QuerySet[WebhookEndpoint]
    ) -> HttpResponse | None:
        if endpoints.count() != 1:
            self.message_user(
                request, _("Choose one webhook: a secret is shown once."), messages.ERROR
            )
            return None
        endpoint = endpoints.get()
        return self._secret_page(request, endpoint, rotate_secret(endpoint, at=timezone.now()))

    @admin.action(description=gettext_lazy("Switch off"), permissions=["change"])
    def stop(self, request: HttpRequest, endpoints: QuerySet[WebhookEndpoint]) -> None:
        for endpoint in endpoints:
            switch_off(endpoint, at=timezone.now())
        self.message_user(request, _("Nothing more is sent. What happens meanwhile is kept."))

    @admin.action(description=gettext_lazy("Switch on"), permissions=["change"])
    def start(self, request: HttpRequest, endpoints: QuerySet[WebhookEndpoint]) -> None:
        for endpoint in endpoints:
            switch_on(endpoint, at=timezone.now())
        self.message_user(request, _("What has waited is sent first."))


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """The log: read, and send again."""

    change_form_template = "admin/integrations/delivery_change.html"
    list_display = ["kind", "endpoint", "sign", "tries", "last_answer", "queued_at", "due_at"]
    list_filter = ["state", ("endpoint", admin.RelatedOnlyFieldListFilter), "queued_at"]
    list_select_related = ["endpoint", "message"]
    search_fields = ["message__kind", "message__event_id"]
    fields = ["endpoint", "kind", "event", "sign", "queued_at", "due_at", "tries", "log"]
    readonly_fields = ["kind", "event", "sign", "log"]
    actions = ["again"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        # Not the scope by course of the others: a webhook may be of all courses.
        rows = super(OfferedLookupsOnly, self).get_queryset(request)
        own = endpoints_of(cast(User, request.user)).values("pk")
        return rows.filter(endpoint__in=own).prefetch_related("attempts")

    @admin.display(description=gettext_lazy("event"), ordering="message__kind")
    def kind(self, delivery: WebhookDelivery) -> str:
        return delivery.message.kind

    @admin.display(description=gettext_lazy("id"))
    def event(self, delivery: WebhookDelivery) -> str:
        return str(delivery.message.event_id)

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def sign(self, delivery: WebhookDelivery) -> str:
        return format_html(
            '<span class="nowrap"><span aria-hidden="true">{}</span> {}</span>',
            SIGNS[State(delivery.state)],
            delivery.get_state_display(),
        )

    @admin.display(description=gettext_lazy("last answer"))
    def last_answer(self, delivery: WebhookDelivery) -> str:
        return _last_answer(delivery)

    @admin.display(description=gettext_lazy("log"))
    def log(self, delivery: WebhookDelivery) -> str:
        lines = [
            (timezone.localtime(attempt.at).strftime("%Y-%m-%d %H:%M:%S"), _in_words(attempt))
            for attempt in delivery.attempts.all()
        ]
        if not lines:
            return _("not tried yet")
        return format_html(
            '<ol class="webhook-log">{}</ol>',
            format_html_join("", '<li><span class="nowrap">{}</span> {}</li>', lines),
        )

    def has_again_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("integrations.change_webhookendpoint")

    @admin.action(description=gettext_lazy("Send again"), permissions=["again"])
    def again(self, request: HttpRequest, deliveries: QuerySet[WebhookDelivery]) -> None:
        for delivery in deliveries:
            send_again(delivery, at=timezone.now())
        text = ngettext(
            "%(count)d event is sent again, under its old id.",
            "%(count)d events are sent again, under their old ids.",
            len(deliveries),
        )
        self.message_user(request, text % {"count": len(deliveries)})


def _log_link(endpoint: WebhookEndpoint, text: str, *, state: str = "") -> str:
    query = {"endpoint__id__exact": endpoint.pk} | ({"state__exact": state} if state else {})
    page = reverse("admin:integrations_webhookdelivery_changelist")
    return format_html('<a href="{}?{}">{}</a>', page, urlencode(query), text)


def _quiet_in_words(endpoint: WebhookEndpoint) -> str:
    until = timezone.localtime(endpoint.quiet_until).strftime("%Y-%m-%d %H:%M")
    return _("waits until %(time)s, as the receiver asks") % {"time": until}


def _last_answer(delivery: WebhookDelivery) -> str:
    attempts = list(delivery.attempts.all())
    return _in_words(attempts[-1]) if attempts else "–"


def _in_words(attempt: Any) -> str:
    if attempt.status is None:
        return str(attempt.said)
    return _("%(status)d in %(ms)d ms: %(said)s") % {
        "status": attempt.status,
        "ms": attempt.duration_ms,
        "said": attempt.said or _("no text"),
    }
