"""The admin's pages to bring rosters in and out by file."""

from __future__ import annotations

import logging
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.cache import cache
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST
from import_export.admin import ImportExportMixin

from accounts.models import User
from roster.formats import AnyTable, SafeCSV, SafeXLSX, read_table
from roster.imports.forms import ConfirmRosterImportForm, RosterImportForm
from roster.imports.history import past_imports, remember_import
from roster.imports.progress import progress_of, told_to, told_to_nobody
from roster.imports.report import Report

logger = logging.getLogger(__name__)

BAD_ROWS_KEPT_S = 24 * 60 * 60


class ByFileMixin(ImportExportMixin):
    """Import with preview, in all or in its good rows, and export as CSV and XLSX.

    Stands before the scoped admin, whose queryset limits what is exported.
    """

    import_form_class = RosterImportForm
    confirm_form_class = ConfirmRosterImportForm
    import_template_name = "admin/roster/import.html"
    import_formats = [AnyTable]
    export_formats = [SafeCSV, SafeXLSX]
    #: Static file that shows what is expected.
    sample_file: str

    def get_urls(self) -> list[URLPattern]:
        own = {
            "import/progress/<uuid:job>/": (self.import_progress, "import_progress"),
            "import/bad-rows/<slug:name>/": (self.import_bad_rows, "import_bad_rows"),
            "export/xlsx/": (self.export_xlsx, "export_xlsx"),
        }
        prefix = "_".join(self.get_model_info())
        return [
            path(address, self.admin_site.admin_view(view), name=f"{prefix}_{name}")
            for address, (view, name) in own.items()
        ] + super().get_urls()

    def has_import_permission(self, request: HttpRequest) -> bool:
        """A file adds and corrects."""
        return super().has_import_permission(request) and self.has_change_permission(request)

    # What the two forms and the resource need to know

    def get_import_form_kwargs(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().get_import_form_kwargs(request), "user": request.user}

    def get_confirm_form_kwargs(
        self, request: HttpRequest, import_form: forms.Form | None = None
    ) -> dict[str, Any]:
        return {**super().get_confirm_form_kwargs(request, import_form), "user": request.user}

    def get_import_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        form = kwargs.get("form")
        chosen = form.cleaned_data if form is not None and form.is_bound else {}
        user, job = cast(User, request.user), chosen.get("progress_id")
        return {
            "user": user,
            "only_good": bool(chosen.get("only_good")),
            "progress": told_to(user, job) if job else told_to_nobody,
            **self.resource_kwargs_of(chosen),
        }

    def resource_kwargs_of(self, chosen: dict[str, Any]) -> dict[str, Any]:
        """What the resource takes besides, out of either form."""
        return {}

    def subject_of(self, chosen: dict[str, Any]) -> str:
        """What was imported, for the history."""
        return str(self.opts.verbose_name_plural)

    # Pages

    def import_action(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """The form, and after it the preview."""
        page = super().import_action(request, **kwargs)
        report, form = page.context_data.get("result"), page.context_data["form"]
        if report is not None and report.bad:
            name = form.cleaned_data["import_file"].tmp_storage_name
            page.context_data |= self._choices(request, report, name)
            page.context_data["good_rows_form"] = self.create_confirm_form(request, form)
        page.context_data |= self._surroundings(request)
        return page

    def add_data_read_fail_error_to_form(self, form: forms.Form, e: Exception) -> None:
        if isinstance(e, ValidationError):
            form.add_error("import_file", e)
            return
        logger.info("an import file could not be read: %s", type(e).__name__)
        form.add_error("import_file", _("This file cannot be read. Save it as CSV or XLSX again."))

    @method_decorator(require_POST)
    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Write what was previewed: all of it, or the good rows if that was chosen."""
        if not self.has_import_permission(request):
            raise PermissionDenied
        form = self.create_confirm_form(request)
        if not form.is_valid():
            return self._start_again(request, _("The form is not complete. Choose the file again."))
        name = form.cleaned_data["import_file_name"]
        kept = self.get_tmp_storage_class()(name=name)
        content = kept.read()
        if content is None:
            return self._start_again(
                request,
                _("This file was imported already or is not kept any more. Choose it again."),
            )
        resource = self.choose_import_resource_class(form, request)(
            **self.get_import_resource_kwargs(request, form=form)
        )
        report = resource.import_data(read_table(content))
        if not report.written:
            return self._not_written(request, form, report)
        kept.remove()
        return self._written(request, form, report)

    def _written(self, request: HttpRequest, form: forms.Form, report: Report) -> HttpResponse:
        chosen = form.cleaned_data
        name = chosen["import_file_name"]
        if report.bad:
            self._keep_bad_rows(request, report, name)
        remember_import(
            user=cast(User, request.user),
            model=self.model,
            subject=self.subject_of(chosen),
            file_name=chosen["original_file_name"],
            report=report,
            bad_rows=name if report.bad else "",
        )
        messages.success(request, _outcome(report))
        return HttpResponseRedirect(self._address("import" if report.bad else "changelist"))

    def _not_written(self, request: HttpRequest, form: forms.Form, report: Report) -> HttpResponse:
        """The roster has changed since the preview, and rows that were good are not any more."""
        context = {
            **self.admin_site.each_context(request),
            "title": _("Import"),
            "opts": self.opts,
            "result": report,
            "good_rows_form": form,
            **self._choices(request, report, form.cleaned_data["import_file_name"]),
            **self._surroundings(request),
        }
        return TemplateResponse(request, self.import_template_name, context)

    def _choices(self, request: HttpRequest, report: Report, name: str) -> dict[str, Any]:
        self._keep_bad_rows(request, report, name)
        return {"bad_rows_address": self._address("import_bad_rows", name)}

    def _surroundings(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "columns": self.resource_classes[0].columns,
            "sample_file": self.sample_file,
            "past_imports": past_imports(user=cast(User, request.user), model=self.model),
        }

    def _start_again(self, request: HttpRequest, why: str) -> HttpResponse:
        messages.error(request, why)
        return HttpResponseRedirect(self._address("import"))

    def _address(self, name: str, *args: str) -> str:
        prefix = "_".join(self.get_model_info())
        return reverse(f"{self.admin_site.name}:{prefix}_{name}", args=args)

    # Beside the pages

    def import_progress(self, request: HttpRequest, job: UUID) -> HttpResponse:
        if not self.has_import_permission(request):
            raise PermissionDenied
        return JsonResponse(progress_of(cast(User, request.user), job))

    def import_bad_rows(self, request: HttpRequest, name: str) -> HttpResponse:
        if not self.has_import_permission(request):
            raise PermissionDenied
        content = cache.get(_bad_rows_key(request, name))
        if content is None:
            raise Http404(_("These rows are kept for a day, for the person who chose the file."))
        return HttpResponse(
            content,
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="bad-rows.csv"'},
        )

    def _keep_bad_rows(self, request: HttpRequest, report: Report, name: str) -> None:
        cache.set(_bad_rows_key(request, name), report.bad_rows_file(), BAD_ROWS_KEPT_S)

    def export_xlsx(self, request: HttpRequest) -> HttpResponse:
        if not self.has_export_permission(request):
            raise PermissionDenied
        return self._do_file_export(SafeXLSX(), request, self.get_export_queryset(request))


def _bad_rows_key(request: HttpRequest, name: str) -> str:
    return f"roster-bad-rows-{request.user.pk}-{name}"


def _outcome(report: Report) -> str:
    counts = report.counts
    sentence = _("%(new)s new, %(changed)s changed, %(same)s as they were.") % {
        "new": f"{counts['new']:,}",
        "changed": f"{counts['changed']:,}",
        "same": f"{counts['same']:,}",
    }
    if report.ended_count:
        sentence += " " + ngettext(
            "%(count)d was end-dated.", "%(count)d were end-dated.", report.ended_count
        ) % {"count": report.ended_count}
    if report.bad:
        sentence += " " + ngettext(
            "%(count)d bad row was left out.", "%(count)d bad rows were left out.", len(report.bad)
        ) % {"count": len(report.bad)}
    return _("Imported: %(outcome)s") % {"outcome": sentence}
