"""The description, the pages for it, and addresses that lead nowhere."""

from __future__ import annotations

from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularJSONAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from integrations.api.problems import not_found


class Description(SpectacularJSONAPIView):
    """OpenAPI, for everybody: it tells nothing of anybody."""

    authentication_classes = []
    permission_classes = [AllowAny]


@require_GET
# Swagger UI sets style attributes and draws icons from data: addresses. No script is exempt.
@csp_update({"style-src": ["'self'", "'unsafe-inline'"]})
def documentation(request: HttpRequest) -> HttpResponse:
    return render(request, "integrations/api/docs.html")


@extend_schema(exclude=True)
class Nowhere(APIView):
    """Whatever else stands below /api/v1/."""

    authentication_classes = []
    permission_classes = [AllowAny]

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        raise not_found()

    def get(self, request: Request, rest: str = "") -> Response:
        raise not_found()
