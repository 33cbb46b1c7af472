"""Photos of a cohort at the lecturer's desk: upload, progress, verdicts, coverage."""

from __future__ import annotations

from typing import IO, Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.db.models import Case, Count, Q, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.functional import lazy
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from recognition.cohort.archive import MAX_ARCHIVE_BYTES, ArchiveRefusedError
from recognition.cohort.coverage import by_standing, coverage_file, coverage_of, in_words
from recognition.cohort.models import PhotoImport, PhotoImportItem
from recognition.cohort.services import receive_photos, stop_import
from roster.formats import MAX_FILE_BYTES
from roster.models import Course
from roster.scoping import ReadOnlyAdmin
from roster.selectors import courses_of

VERDICTS_A_PAGE = 100
SIGNS = {"waiting": "…", "used": "✓", "held": "?", "refused": "✗"}


class PhotoImportForm(forms.Form):
    course = forms.ModelChoiceField(label=_("Course"), queryset=Course.objects.none())
    archive = forms.FileField(
        label=_("ZIP of photos"),
        widget=forms.FileInput(attrs={"accept": ".zip,application/zip"}),
        help_text=lazy(
            lambda: (
                gettext(
                    "Named by student number: S-1001.jpg, several as S-1001_1.jpg, S-1001_2.jpg, "
                    "or in a folder S-1001. JPEG, PNG, WebP or HEIC, at most %(size)s together."
                )
                % {"size": filesizeformat(MAX_ARCHIVE_BYTES)}
            ),
            str,
        )(),
    )
    students = forms.FileField(
        label=_("List of the files"),
        required=False,
        widget=forms.FileInput(attrs={"accept": ".csv,.xlsx,text/csv"}),
        help_text=_(
            "Only if the photos have other names: CSV or XLSX with the columns file and "
            "student_id. It may be in the ZIP as well."
        ),
    )
    known = forms.ChoiceField(
        label=_("Who can be recognised already"),
        choices=[("skip", _("stays as it is")), ("replace", _("gets a new template"))],
        initial="skip",
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["course"].queryset = courses_of(user)  # type: ignore[attr-defined]

    def clean_archive(self) -> UploadedFile:
        return _at_most(MAX_ARCHIVE_BYTES, self.cleaned_data["archive"])

    def clean_students(self) -> UploadedFile | None:
        students = self.cleaned_data["students"]
        return _at_most(MAX_FILE_BYTES, students) if students else None


def _at_most(most_bytes: int, file: UploadedFile) -> UploadedFile:
    if (file.size or 0) > most_bytes:
        raise ValidationError(
            _("This file has %(got)s, at most %(most)s are taken. Divide it."),
            params={"got": filesizeformat(file.size or 0), "most": filesizeformat(most_bytes)},
        )
    return file


@admin.register(PhotoImport)
class PhotoImportAdmin(ReadOnlyAdmin):
    """Imports into the user's own courses."""

    list_display = ["created_at", "course", "archive_name", "state", "progress", "created_by"]
    list_filter = [("course", admin.RelatedOnlyFieldListFilter), "status"]
    list_select_related = ["course", "created_by"]
    search_fields = ["course__code", "course__title", "archive_name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[PhotoImport]:
        waiting = Q(items__state=PhotoImportItem.State.WAITING)
        return (
            super()
            .get_queryset(request)
            .annotate(total=Count("items"), done=Count("items", filter=~waiting))
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("recognition.add_photoimport")

    def get_urls(self) -> list[URLPattern]:
        named = {
            "progress": require_safe(never_cache(self.progress_view)),
            "report": require_safe(never_cache(self.report_view)),
            "stop": require_POST(self.stop_view),
        }
        own = [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(view),
                name=f"recognition_photoimport_{name}",
            )
            for name, view in named.items()
        ]
        return [*own, *super().get_urls()]

    # The list

    @admin.display(description=_("state"), ordering="status")
    def state(self, photo_import: PhotoImport) -> str:
        return photo_import.get_status_display()

    @admin.display(description=_("photos"))
    def progress(self, photo_import: Any) -> str:
        if photo_import.status == PhotoImport.Status.FINISHED:
            return str(photo_import.total)
        return gettext("%(done)d of %(total)d") % {
            "done": photo_import.done,
            "total": photo_import.total,
        }

    # A new one

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        user = cast(User, request.user)
        form = PhotoImportForm(
            request.POST or None,
            request.FILES or None,
            user=user,
            initial={"course": request.GET.get("course")},
        )
        photo_import = self._received(form, user) if form.is_valid() else None
        if photo_import is not None:
            return HttpResponseRedirect(_address("change", photo_import))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Import photos of a cohort"),
            "form": form,
            "has_courses": courses_of(user).exists(),
        }
        return render(request, "admin/recognition/photoimport_form.html", context)

    def _received(self, form: PhotoImportForm, user: User) -> PhotoImport | None:
        archive, students = form.cleaned_data["archive"], form.cleaned_data["students"]
        try:
            return receive_photos(
                course=form.cleaned_data["course"],
                archive=cast("IO[bytes]", archive),
                archive_name=archive.name or "",
                list_of_students=students.read() if students else None,
                replaces_known=form.cleaned_data["known"] == "replace",
                added_by=user,
            )
        except ArchiveRefusedError as refusal:
            form.add_error("archive", str(refusal))
            return None

    # One import

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        photo_import = self._own(request, object_id)
        rows = coverage_of(photo_import)
        ready = sum(row.standing == "ready" for row in rows)
        verdicts = Paginator(_refused_first(photo_import), VERDICTS_A_PAGE)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Photos of %(course)s") % {"course": photo_import.course.code},
            "photo_import": photo_import,
            "progress": _progress(photo_import),
            "counts": _counts(photo_import),
            "verdicts": verdicts.get_page(request.GET.get("page")),
            "coverage": list(by_standing(rows)),
            "student_count": len(rows),
            "ready_count": ready,
            "may_stop": photo_import.is_unfinished and self.has_add_permission(request),
        }
        return render(request, "admin/recognition/photoimport_detail.html", context)

    def progress_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """For the page that waits."""
        return JsonResponse(_progress(self._own(request, str(pk))))

    def report_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        photo_import = self._own(request, str(pk))
        name = f"photos-{photo_import.pk}.csv"
        return HttpResponse(
            coverage_file(coverage_of(photo_import)),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def stop_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        photo_import = self._own(request, str(pk))
        if not self.has_add_permission(request):
            raise PermissionDenied
        stop_import(photo_import)
        self.message_user(
            request, _("The import was stopped; the photos that waited are deleted."), messages.INFO
        )
        return HttpResponseRedirect(_address("change", photo_import))

    def _own(self, request: HttpRequest, pk: str) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_queryset(request).select_related("course", "created_by")
        photo_import = found.filter(pk=pk).first() if pk.isdecimal() and len(pk) < 19 else None
        if photo_import is None:
            raise Http404
        return photo_import


def _address(page: str, photo_import: PhotoImport) -> str:
    return reverse(f"admin:recognition_photoimport_{page}", args=[photo_import.pk])


def _progress(photo_import: Any) -> dict[str, Any]:
    done, total = photo_import.done, photo_import.total
    return {
        "done": done,
        "total": total,
        "sentence": in_words(photo_import, done=done, total=total),
        "finished": not photo_import.is_unfinished,
    }


def _counts(photo_import: PhotoImport) -> list[tuple[str, str]]:
    """Sign and words of how many photos ended how."""
    found = dict(photo_import.items.order_by().values_list("state").annotate(count=Count("pk")))
    used, held, refused = (found.get(state, 0) for state in ("used", "held", "refused"))
    words = {
        "used": ngettext("%(count)d photo used", "%(count)d photos used", used) % {"count": used},
        "held": ngettext(
            "%(count)d photo waits for consent", "%(count)d photos wait for consent", held
        )
        % {"count": held},
        "refused": ngettext("%(count)d photo not used", "%(count)d photos not used", refused)
        % {"count": refused},
    }
    return [(SIGNS[state], text) for state, text in words.items() if found.get(state)]


def _refused_first(photo_import: PhotoImport) -> QuerySet[PhotoImportItem]:
    refused = When(state=PhotoImportItem.State.REFUSED, then=Value(0))
    return (
        photo_import.items.select_related("student")
        .defer("sealed_picture")
        .order_by(Case(refused, default=Value(1)), "file_name", "pk")
    )
