"""The addresses by which machines ask how this process is: `/healthz`, `/readyz`, `/metrics`.

They are answered before hosts, sessions and languages are looked at: who asks each process on its
own port has no host name of the site.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.client_address import Address, client_address
from accounts.models import User
from integrations.operations.metrics import exposition
from integrations.operations.readiness import is_ready, readiness

View = Callable[[HttpRequest], HttpResponse]


def answer_probes(get_response: View) -> View:
    def middleware(request: HttpRequest) -> HttpResponse:
        probe = PROBES.get(request.path_info)
        if probe is None or _may_be_staff(request):
            return get_response(request)
        return probe(request)

    return middleware


def _may_be_staff(request: HttpRequest) -> bool:
    """Whoever has logged in comes as to any page, so that it is known who it is."""
    return settings.SESSION_COOKIE_NAME in request.COOKIES


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives and answers. It asks nobody else."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Whether requests may come here; what is missing is told to those who run the site."""
    found = readiness.findings()
    content: dict[str, object] = {"ready": is_ready(found)}
    if _runs_the_site(request) or _is_staff(request):
        content["parts"] = [asdict(finding) for finding in found]
    return JsonResponse(content, status=200 if content["ready"] else 503)


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus. To others there is no such page."""
    if not _runs_the_site(request):
        return HttpResponseNotFound("not found\n", content_type="text/plain")
    content, content_type = exposition()
    return HttpResponse(content, content_type=content_type)


PROBES: dict[str, View] = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}


def _is_staff(request: HttpRequest) -> bool:
    user = getattr(request, "user", None)
    return isinstance(user, User) and user.is_active and user.is_staff


def _runs_the_site(request: HttpRequest) -> bool:
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and settings.METRICS_TOKEN:
        return constant_time_compare(token.strip(), settings.METRICS_TOKEN)
    address = _address_of(request)
    return address is not None and any(
        address in network for network in settings.OPERATIONS_NETWORKS
    )


def _address_of(request: HttpRequest) -> Address | None:
    """Who asks the process on its own port has come through no proxy.

    Through one that we were not told of (`BEHIND_PROXY`) everybody would seem to come from this
    machine: then nobody does.
    """
    if "X-Forwarded-For" in request.headers:
        return client_address(request) if settings.BEHIND_PROXY else None
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
