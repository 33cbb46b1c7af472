"""What makes the site installable: two manifests, one service worker, the offline pages.

Two apps come from one site: the student's pages and the kiosk. The worker is the same for both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils import translation
from django.utils.translation import get_language, get_language_bidi
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from accounts.language import known_language, spoken
from checkin.language import kiosk_of, language_at

View = Callable[[HttpRequest], HttpResponse]

#: What the offline pages are made of; the worker keeps nothing else.
SHELL = (
    "rollcall/tokens.css",
    "rollcall/base.css",
    "rollcall/icons.svg",
    "rollcall/favicon.svg",
    "rollcall/web_app/offline.js",
    "checkin/kiosk/kiosk.css",
)
WORKER = "rollcall/web_app/service_worker.js"
OFFLINE_TEMPLATES = {"offline": "offline.html", "offline-kiosk": "offline_kiosk.html"}


def in_asked_language(view: View) -> View:
    """Browsers ask for manifests and kept pages without cookies: the address says which."""

    @wraps(view)
    def spoken_view(request: HttpRequest) -> HttpResponse:
        asked = known_language(request.GET.get("language"))
        if asked:
            translation.activate(asked)
        return view(request)

    return spoken_view


@require_safe
@cache_control(no_cache=True)
@in_asked_language
def app_manifest(request: HttpRequest) -> HttpResponse:
    return _manifest(
        icon="app",
        name=_("Rollcall"),
        description=_("Register your face and see your attendance."),
        start_url=reverse("me"),
        scope=reverse("home"),
        display="standalone",
        # The icon's own blue: a start screen that fits the light and the dark scheme.
        theme_color="#1d56c4",
        background_color="#1d56c4",
    )


@require_safe
@cache_control(no_cache=True)
@in_asked_language
def kiosk_manifest(request: HttpRequest) -> HttpResponse:
    return _manifest(
        icon="kiosk",
        name=_("Rollcall Kiosk"),
        description=_("The screen at the door, where a class checks in by face."),
        start_url=reverse("kiosk"),
        scope=reverse("kiosk"),
        display="fullscreen",
        theme_color="#0b0f15",
        background_color="#0b0f15",
    )


def _manifest(*, icon: str, **members: str) -> HttpResponse:
    manifest: dict[str, Any] = {
        "id": members["start_url"],
        "lang": get_language(),
        "dir": "rtl" if get_language_bidi() else "ltr",
        "icons": [
            _icon(f"{icon}-192", 192, "any"),
            _icon(f"{icon}-512", 512, "any"),
            _icon(f"{icon}-maskable-512", 512, "maskable"),
        ],
        **members,
    }
    return JsonResponse(manifest, content_type="application/manifest+json")


def _icon(name: str, side_px: int, purpose: str) -> dict[str, str]:
    return {
        "src": static(f"rollcall/web_app/{name}.png"),
        "sizes": f"{side_px}x{side_px}",
        "type": "image/png",
        "purpose": purpose,
    }


@require_safe
@cache_control(no_cache=True)
def service_worker(request: HttpRequest) -> HttpResponse:
    """The worker's settings; how it works stands in the static file. It rules the whole site
    because its address lies at the root.
    """
    language, at_kiosk = spoken(), language_at(kiosk_of(request), request)
    config = {
        "version": _shell_version(),
        "shell": [static(name) for name in SHELL],
        "offlinePages": [
            {
                "under": reverse("kiosk"),
                "page": f"{reverse('offline-kiosk')}?language={at_kiosk}",
            },
            {"under": reverse("home"), "page": f"{reverse('offline')}?language={language}"},
        ],
        "untouched": [reverse("admin:index")],
    }
    script = f"self.config = {json.dumps(config)};\nimportScripts({json.dumps(static(WORKER))});\n"
    return HttpResponse(script, content_type="text/javascript; charset=utf-8")


def _shell_version() -> str:
    """Changes with every byte of the shell, also where static files are not named by content."""
    digest = hashlib.sha256()
    for name in (*SHELL, WORKER):
        digest.update(Path(finders.find(name) or name).read_bytes())
    for template in OFFLINE_TEMPLATES.values():
        for language, _name in settings.LANGUAGES:
            with translation.override(language):
                digest.update(render_to_string(template).encode())
    return digest.hexdigest()[:16]


@require_safe
@cache_control(no_cache=True)
@in_asked_language
def offline(request: HttpRequest) -> HttpResponse:
    return render(request, OFFLINE_TEMPLATES["offline"])


@require_safe
@cache_control(no_cache=True)
@in_asked_language
def offline_kiosk(request: HttpRequest) -> HttpResponse:
    return render(request, OFFLINE_TEMPLATES["offline-kiosk"])
