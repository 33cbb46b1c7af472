"""Kiosks and whether they work. Their tokens are told to nobody."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from checkin.desk import KIOSK_MISSED_AFTER
from checkin.models import Kiosk
from integrations.api import serializers as forms
from integrations.api.serializers import page_answer
from integrations.api.views.base import ApiView, CollectionView, one_of


class KioskForm(forms.KioskOut):
    """With what follows from the moment."""

    def to_representation(self, kiosk: Kiosk) -> dict[str, Any]:
        seen = kiosk.last_seen_at
        kiosk.has_token = kiosk.token_hash is not None  # type: ignore[attr-defined]
        kiosk.is_online = (  # type: ignore[attr-defined]
            kiosk.revoked_at is None
            and seen is not None
            and seen >= self.context["at"] - KIOSK_MISSED_AFTER
        )
        return super().to_representation(kiosk)


class Kiosks(CollectionView):
    """The kiosks, and which of them were seen lately."""

    read_scope = "kiosks:read"
    read_permission = "checkin.view_kiosk"
    row = KioskForm
    answers = {"GET": page_answer(forms.KioskOut)}

    def rows(self) -> QuerySet[Kiosk]:
        return Kiosk.objects.select_related("room").prefetch_related("courses")


class KioskDetail(ApiView):
    """One kiosk."""

    read_scope = "kiosks:read"
    read_permission = "checkin.view_kiosk"
    answers = {"GET": forms.KioskOut}

    def get(self, request: Request, pk: int) -> Response:
        kiosks = Kiosk.objects.select_related("room").prefetch_related("courses")
        return Response(self.shown(KioskForm, one_of(kiosks, pk=pk)))
