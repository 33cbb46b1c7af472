"""Kiosks at the desk: how each of them is, its pairing and its tokens."""

from __future__ import annotations

from typing import Any

import segno
from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _

from accounts.lookups import OfferedLookupsOnly
from checkin.kiosks.health import (
    CAMERA_ADVICE,
    ICONS,
    Standing,
    is_outdated,
    standing_of,
)
from checkin.kiosks.pairing import CODE_VALID, as_shown, new_pairing_code
from checkin.models import Kiosk
from checkin.services import (
    KioskRefusedError,
    issue_kiosk_token,
    revoke_kiosk,
    roll_kiosk_token,
)

HEALTH = [
    "standing",
    "last_seen",
    "frame_rate",
    "frame_age",
    "light",
    "camera_state",
    "error",
    "version",
    "old_token_until",
]


class KioskForm(ModelForm):
    class Meta:
        model = Kiosk
        fields = ["name", "room", "courses", "language"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get("room") and not cleaned.get("courses"):
            self.add_error(
                "room", _("Choose a room or at least one course: otherwise it serves nobody.")
            )
        return cleaned


@admin.register(Kiosk)
class KioskAdmin(OfferedLookupsOnly, admin.ModelAdmin):
    form = KioskForm
    list_display = ["name", "standing", "room", "last_seen", "frame_rate", "light", "version"]
    list_filter = ["room", ("revoked_at", admin.EmptyFieldListFilter)]
    list_select_related = ["room"]
    search_fields = ["name", "room__name"]
    filter_horizontal = ["courses"]
    readonly_fields = HEALTH
    actions = ["make_pairing_code", "roll_token", "renew_token", "revoke"]

    class Media:
        css = {"all": ["checkin/kiosks.css"]}

    def get_fieldsets(self, request: HttpRequest, obj: Kiosk | None = None) -> Any:
        form = (None, {"fields": ["name", "room", "courses", "language"]})
        return [form] if obj is None else [form, (_("How it is"), {"fields": HEALTH})]

    # How it is

    @admin.display(description=_("state"), ordering="last_seen_at")
    def standing(self, kiosk: Kiosk) -> SafeString:
        standing = standing_of(kiosk, at=timezone.now())
        icon, tone = ICONS[standing]
        return format_html(
            '<span class="kiosk-state"><svg class="icon {}" aria-hidden="true">'
            '<use href="{}#{}"></use></svg>{}</span>',
            tone,
            static("rollcall/icons.svg"),
            icon,
            standing.label,
        )

    @admin.display(description=_("last seen"), ordering="last_seen_at")
    def last_seen(self, kiosk: Kiosk) -> str:
        if kiosk.last_seen_at is None:
            return "–"
        if standing_of(kiosk, at=timezone.now()) not in (Standing.SILENT, Standing.REVOKED):
            return str(_("now"))
        return str(_("%(time)s ago")) % {"time": timesince(kiosk.last_seen_at, depth=1)}

    @admin.display(description=_("frames a second"), ordering="frames_per_s")
    def frame_rate(self, kiosk: Kiosk) -> str:
        return "–" if kiosk.frames_per_s is None else f"{kiosk.frames_per_s:.1f}"

    @admin.display(description=_("age of frames"))
    def frame_age(self, kiosk: Kiosk) -> str:
        if kiosk.frame_age_ms is None:
            return "–"
        return str(_("%(number)d ms")) % {"number": kiosk.frame_age_ms}

    @admin.display(description=_("light on faces"), ordering="brightness")
    def light(self, kiosk: Kiosk) -> str:
        if kiosk.brightness is None:
            return "–"
        return f"{100 * kiosk.brightness / 255:.0f} %"

    @admin.display(description=_("camera"))
    def camera_state(self, kiosk: Kiosk) -> str:
        return str(CAMERA_ADVICE.get(kiosk.camera) or kiosk.camera or "–")

    @admin.display(description=_("last error"))
    def error(self, kiosk: Kiosk) -> str:
        if kiosk.last_error_at is None:
            return "–"
        ago = timesince(kiosk.last_error_at, depth=1)
        return str(_("%(code)s, %(time)s ago")) % {"code": kiosk.last_error, "time": ago}

    @admin.display(description=_("version"), ordering="app_version")
    def version(self, kiosk: Kiosk) -> str:
        if is_outdated(kiosk):
            return str(_("%(version)s: reload its page")) % {"version": kiosk.app_version}
        return kiosk.app_version or "–"

    # Pairing and tokens

    def response_add(
        self, request: HttpRequest, obj: Kiosk, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._code_page(request, obj)

    @admin.action(description=_("Pair a device (shows a code)"), permissions=["change"])
    def make_pairing_code(
        self, request: HttpRequest, kiosks: QuerySet[Kiosk]
    ) -> HttpResponse | None:
        kiosk = self._only(request, kiosks)
        return self._code_page(request, kiosk) if kiosk else None

    @admin.action(
        description=_("Roll the token (the old one opens for a while)"), permissions=["change"]
    )
    def roll_token(self, request: HttpRequest, kiosks: QuerySet[Kiosk]) -> HttpResponse | None:
        kiosk = self._only(request, kiosks)
        if kiosk is None:
            return None
        try:
            token = roll_kiosk_token(kiosk, timezone.now())
        except KioskRefusedError as refusal:
            self.message_user(request, str(refusal), "ERROR")
            return None
        return self._token_page(request, kiosk, token)

    @admin.action(description=_("New token (ends the old one)"), permissions=["change"])
    def renew_token(self, request: HttpRequest, kiosks: QuerySet[Kiosk]) -> HttpResponse | None:
        kiosk = self._only(request, kiosks)
        return self._token_page(request, kiosk, issue_kiosk_token(kiosk)) if kiosk else None

    @admin.action(description=_("Revoke"), permissions=["change"])
    def revoke(self, request: HttpRequest, kiosks: QuerySet[Kiosk]) -> None:
        for kiosk in kiosks:
            revoke_kiosk(kiosk)
            self.log_change(request, kiosk, [{"changed": {"fields": ["revoked"]}}])
        self.message_user(request, _("The kiosks were shut out."))

    def _only(self, request: HttpRequest, kiosks: QuerySet[Kiosk]) -> Kiosk | None:
        if kiosks.count() == 1:
            return kiosks.get()
        self.message_user(request, _("Choose one kiosk: a token or a code is shown once."), "ERROR")
        return None

    def _code_page(self, request: HttpRequest, kiosk: Kiosk) -> HttpResponse:
        code = new_pairing_code(kiosk, at=timezone.now())
        self.log_change(request, kiosk, [{"changed": {"fields": ["pairing code"]}}])
        address = request.build_absolute_uri(reverse("kiosk-pair"))
        return self._page(
            request,
            kiosk,
            "pairing_code",
            title=_("Pair a device"),
            code=as_shown(code),
            address=address,
            qr=_qr(f"{address}#{code}"),
            minutes=round(CODE_VALID.total_seconds() / 60),
        )

    def _token_page(self, request: HttpRequest, kiosk: Kiosk, token: str) -> HttpResponse:
        self.log_change(request, kiosk, [{"changed": {"fields": ["token"]}}])
        return self._page(
            request,
            kiosk,
            "kiosk_token",
            title=_("Token of the kiosk"),
            token=token,
            kiosk_url=f"{request.build_absolute_uri(reverse('kiosk'))}#{token}",
        )

    def _page(
        self, request: HttpRequest, kiosk: Kiosk, template: str, **context: Any
    ) -> HttpResponse:
        """A secret in the answer itself: a redirect would have to keep it somewhere."""
        whole = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "kiosk": kiosk,
            "media": self.media,
            **context,
        }
        response = render(request, f"admin/checkin/{template}.html", whole)
        response.headers["Cache-Control"] = "no-store"
        return response


def _qr(address: str) -> SafeString:
    """An SVG without inline style; its colours are those of print, which cameras expect."""
    drawn = segno.make(address, error="m", micro=False)
    svg = drawn.svg_inline(border=4, dark="#000", light="#fff", svgclass="qr", omitsize=True)
    return mark_safe(svg)  # noqa: S308 -- shapes only: the address is drawn, not written
