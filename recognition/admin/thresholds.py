"""When a face is a match: measured on the own templates, proposed, applied, and brought back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from recognition.engine.thresholds import COHORT, IdentificationThresholds
from recognition.engine.types import EngineError
from recognition.evaluation.proposals import (
    ThresholdsRefusedError,
    apply_again,
    apply_evaluation,
    proposal_from,
)
from recognition.evaluation.report import curves_of
from recognition.evaluation.work import ask_for_measurement
from recognition.models import GalleryEvaluation, IdentificationSetting
from recognition.selectors import setting_in_force, thresholds_in_force
from recognition.workers import active_model_id

SHOWN_BEFORE = 10
HISTORY = 50
#: Sizes of classes for which the thresholds are told.
TOLD_SIZES = (10, 30, 100, 300)

Status = GalleryEvaluation.Status
UNDER_WAY = (Status.WAITING, Status.RUNNING)


@admin.register(IdentificationSetting)
class ThresholdsAdmin(admin.ModelAdmin):
    """One page instead of a list: what is in force, what was measured, and the history."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_measure_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("recognition.add_galleryevaluation")

    def has_apply_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("recognition.add_identificationsetting")

    def get_urls(self) -> list[URLPattern]:
        """No page of a single row: rows are the history."""
        both = require_http_methods(["GET", "POST"])
        return [
            self._page("", "changelist", require_safe(self.page_view)),
            self._page("measure/", "measure", require_POST(self.measure_view)),
            self._page("<int:pk>/progress/", "progress", require_safe(self.progress_view)),
            self._page("<int:pk>/apply/", "apply", both(self.apply_view)),
            self._page("<int:pk>/again/", "again", both(self.again_view)),
        ]

    def _page(self, route: str, name: str, view: Callable[..., HttpResponse]) -> URLPattern:
        wrapped = self.admin_site.admin_view(never_cache(view))
        return path(route, wrapped, name=f"recognition_identificationsetting_{name}")

    def page_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        model_id = active_model_id()
        measured = GalleryEvaluation.objects.filter(model_id=model_id)
        shown = _chosen(measured, request.GET.get("measurement"))
        results = shown.figures.get("results", []) if shown else []
        settings = IdentificationSetting.objects.select_related("applied_by", "evaluation")
        context = self._context(request, _("Thresholds")) | {
            "model_id": model_id,
            "in_force": setting_in_force(model_id=model_id),
            "told": _told(model_id),
            "least_cohort": COHORT.least_people,
            "under_way": measured.filter(status__in=UNDER_WAY).first(),
            "newest": measured.first(),
            "shown": shown,
            "results": results,
            "curves": curves_of(results),
            "proposal": proposal_from(results) if results else None,
            "earlier": measured.filter(status=Status.DONE)[:SHOWN_BEFORE],
            "history": settings[:HISTORY],
            "may_measure": self.has_measure_permission(request),
            "may_apply": self.has_apply_permission(request),
        }
        return render(request, "admin/recognition/thresholds.html", context)

    def measure_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_measure_permission(request):
            raise PermissionDenied
        ask_for_measurement(model_id=active_model_id(), by=cast(User, request.user))
        return HttpResponseRedirect(_address("changelist"))

    def progress_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """For the page that waits."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        evaluation = get_object_or_404(GalleryEvaluation, pk=pk)
        return JsonResponse(
            {
                "sentence": evaluation.figures.get("progress") or evaluation.get_status_display(),
                "finished": evaluation.status not in UNDER_WAY,
            }
        )

    def apply_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        evaluation = get_object_or_404(GalleryEvaluation, pk=pk, status=Status.DONE)
        proposal = proposal_from(evaluation.figures["results"])
        return self._confirmed(
            request,
            title=_("Apply the proposed thresholds"),
            told=_told_of(proposal.thresholds),
            changes=proposal.changes,
            model_id=evaluation.model_id,
            write=lambda by, reason: apply_evaluation(evaluation, by=by, reason=reason),
        )

    def again_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        setting = get_object_or_404(IdentificationSetting, pk=pk)
        return self._confirmed(
            request,
            title=_("Apply earlier thresholds again"),
            told=_told_of(setting.thresholds()),
            changes=[],
            model_id=setting.model_id,
            write=lambda by, reason: apply_again(setting, by=by, reason=reason),
        )

    def _confirmed(
        self,
        request: HttpRequest,
        *,
        title: str,
        told: list[dict[str, Any]],
        changes: list[Any],
        model_id: str,
        write: Callable[[User, str], IdentificationSetting],
    ) -> HttpResponse:
        """Ask for a reason first; then write, and go back to the page."""
        if not self.has_apply_permission(request):
            raise PermissionDenied
        refusal = ""
        if request.method == "POST":
            try:
                write(cast(User, request.user), request.POST.get("reason", ""))
            except ThresholdsRefusedError as refused:
                refusal = str(refused)
            else:
                messages.success(request, _("These thresholds are in force from now on."))
                return HttpResponseRedirect(_address("changelist"))
        context = self._context(request, title) | {
            "told": told,
            "changes": changes,
            "model_id": model_id,
            "is_active_model": model_id == active_model_id(),
            "refusal": refusal,
            "reason": request.POST.get("reason", ""),
        }
        return render(request, "admin/recognition/thresholds_apply.html", context)

    def _context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, "title": title}


def _address(page: str) -> str:
    return reverse(f"admin:recognition_identificationsetting_{page}")


def _chosen(measured: Any, asked_for: str | None) -> GalleryEvaluation | None:
    """The finished measurement that was asked for, else the newest one."""
    done = measured.filter(status=Status.DONE)
    if asked_for is None:
        return cast("GalleryEvaluation | None", done.first())
    found = done.filter(pk=asked_for).first() if asked_for.isdecimal() else None
    if found is None:
        raise Http404
    return cast(GalleryEvaluation, found)


def _told(model_id: str) -> list[dict[str, Any]]:
    """What is in force, or nothing where no thresholds are known for the model."""
    try:
        return _told_of(thresholds_in_force(model_id=model_id))
    except EngineError:
        return []


def _told_of(limits: IdentificationThresholds) -> list[dict[str, Any]]:
    return [
        {
            "size": size,
            "alone": limits.similarity_for(size),
            "beside_cohort": limits.above_cohort_for(size) if limits.above_cohort_at_size else None,
        }
        for size in TOLD_SIZES
    ]
