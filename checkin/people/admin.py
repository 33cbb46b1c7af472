"""The desk's page of a student, with erasing and merging, which reach into every app."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from post_office.models import Email

from accounts.models import User
from accounts.roles import may_manage
from checkin.passes.admin import PassActions
from checkin.people.erasure import (
    Account,
    ErasureRefusedError,
    Receipt,
    erase_student,
    goes_with,
    may_lose_account,
)
from checkin.people.kinds import Kept, Person, kept_of
from checkin.people.merging import MergeRefusedError, merge_students, plan_merge
from roster.admin import StudentAdmin
from roster.models import Student

admin.site.unregister(Student)


class StudentForm(forms.ModelForm):
    class Meta:
        model = Student
        fields = ["student_id", "name", "email", "user"]
        error_messages = {
            "student_id": {
                "unique": _(
                    "Another student has this number already. If both are the same person, go to "
                    "the list, choose both and merge them."
                )
            }
        }


class ErasureForm(forms.Form):
    number = forms.CharField(label=_("Student number"), strip=True)
    account = forms.ChoiceField(label=_("Account"), widget=forms.RadioSelect)

    def __init__(self, *args: Any, student: Student, fates: list[Account], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.student = student
        self.fields["number"].help_text = _("Type %(number)s to say that it is this student.") % {
            "number": student.student_id
        }
        self.fields["number"].widget.attrs["autocomplete"] = "off"
        account = cast(forms.ChoiceField, self.fields["account"])
        account.choices = [(fate.value, FATES[fate]) for fate in fates]
        account.initial = fates[0].value
        if student.user is None:
            del self.fields["account"]

    def clean_number(self) -> str:
        number: str = self.cleaned_data["number"]
        if number != self.student.student_id:
            raise forms.ValidationError(
                _("Got “%(got)s”, expected the number of this student. Nothing was erased."),
                params={"got": number},
            )
        return number


FATES = {
    Account.UNLINK: _("Keep the account, linked to no student"),
    Account.DELETE: _("Delete the account too"),
}


@admin.register(Student)
class PersonAdmin(PassActions, StudentAdmin):
    """A student is not deleted row by row: everything goes, after a preview."""

    form = StudentForm
    change_form_template = "admin/checkin/student_change.html"
    actions = ["merge", "mail_pass", "end_pass"]

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                "<int:pk>/erase/",
                self.admin_site.admin_view(never_cache(self.erase_view)),
                name="roster_student_erase",
            ),
            path(
                "merge/",
                self.admin_site.admin_view(never_cache(self.merge_view)),
                name="roster_student_merge",
            ),
        ]
        return own + super().get_urls()

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        may_erase = self.has_delete_permission(request, kwargs.get("obj"))
        # The page's own link says what deleting a person means.
        context.update(show_delete=False, may_erase=may_erase)
        return super().render_change_form(request, context, *args, **kwargs)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseRedirect:
        student = self._student(request, object_id)
        if not self.has_delete_permission(request, student):
            raise PermissionDenied
        return redirect("admin:roster_student_erase", pk=student.pk)

    def students_of_rows(self, rows: QuerySet[Student]) -> QuerySet[Student]:
        return Student.objects.filter(pk__in=rows.order_by().values("pk"))

    # Erasing

    def erase_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What goes, the number as confirmation, and the receipt."""
        student = self._student(request, pk)
        if not self.has_delete_permission(request, student):
            raise PermissionDenied
        form = ErasureForm(request.POST or None, student=student, fates=_fates(request, student))
        if form.is_valid():
            fate = Account(form.cleaned_data.get("account") or Account.UNLINK)
            try:
                return self._receipt_page(request, _erased(request, student, fate))
            except ErasureRefusedError as refusal:
                form.add_error(None, str(refusal))
        context = {
            **self._frame(request, _("Erase a student")),
            "student": student,
            "form": form,
            "going": goes_with(student, Account.UNLINK),
            "going_with_account": [
                kept for kept in goes_with(student, Account.DELETE) if kept.kind.to_account
            ],
        }
        return render(request, "admin/checkin/erase_student.html", context)

    def _receipt_page(self, request: HttpRequest, receipt: Receipt) -> HttpResponse:
        """In the answer itself: a redirect would have to keep it somewhere."""
        context = {**self._frame(request, _("Receipt")), "receipt": receipt}
        return render(request, "admin/checkin/erased.html", context)

    # Merging

    def has_merge_permission(self, request: HttpRequest) -> bool:
        return self.has_change_permission(request) and self.has_delete_permission(request)

    @admin.action(description=_("Merge two records of one person…"), permissions=["merge"])
    def merge(
        self, request: HttpRequest, students: QuerySet[Student]
    ) -> HttpResponseRedirect | None:
        both = list(students[:3])
        if len(both) != 2:
            self.message_user(
                request, _("Choose exactly two students: the two records of one person."), "ERROR"
            )
            return None
        both.sort(key=_likely_to_stay)
        return HttpResponseRedirect(_merge_address(keep=both[1], other=both[0]))

    def merge_view(self, request: HttpRequest) -> HttpResponse:
        """Both records side by side and what will happen; then the merge."""
        if not self.has_merge_permission(request):
            raise PermissionDenied
        keep = self._student(request, request.GET.get("keep", ""))
        other = self._student(request, request.GET.get("other", ""))
        try:
            plan = plan_merge(keep=keep, other=other)
            if request.method == "POST":
                _merged(request, keep, other)
                self.message_user(request, _("The two records are one now."), messages.SUCCESS)
                return redirect("admin:roster_student_change", keep.pk)
        except MergeRefusedError as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return redirect("admin:roster_student_changelist")
        context = {
            **self._frame(request, _("Merge two records of one person")),
            "keep": keep,
            "other": other,
            "plan": plan,
            "counts": _side_by_side(keep, other),
            "the_other_way": _merge_address(keep=other, other=keep),
        }
        return render(request, "admin/checkin/merge_students.html", context)

    def _student(self, request: HttpRequest, pk: int | str) -> Student:
        found = pk if str(pk).isdecimal() else None
        return get_object_or_404(self.get_queryset(request).select_related("user"), pk=found)

    def _frame(self, request: HttpRequest, title: Any) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, "title": title}


def _fates(request: HttpRequest, student: Student) -> list[Account]:
    """What this user may let become of the account."""
    user = cast(User, request.user)
    may_delete = (
        student.user is not None
        and may_lose_account(student.user)
        and user.has_perm("accounts.delete_user")
        and may_manage(user, student.user)
    )
    return [Account.UNLINK, Account.DELETE] if may_delete else [Account.UNLINK]


@transaction.atomic
def _erased(request: HttpRequest, student: Student, account: Account) -> Receipt:
    """The history says that a student was erased and by whom, not which one."""
    pk = student.pk
    receipt = erase_student(student=student, account=account)
    _log(request, pk, str(_("erased student")), DELETION)
    return receipt


@transaction.atomic
def _merged(request: HttpRequest, keep: Student, other: Student) -> None:
    merge_students(keep=keep, other=other)
    _log(request, keep.pk, str(keep), CHANGE, _("Merged with another record of this person."))


def _log(request: HttpRequest, student_pk: int, named: str, flag: int, message: Any = "") -> None:
    LogEntry.objects.create(
        user_id=cast(User, request.user).pk,
        content_type=ContentType.objects.get_for_model(Student),
        object_id=str(student_pk),
        object_repr=named[:200],
        action_flag=flag,
        change_message=str(message),
    )


def _side_by_side(keep: Student, other: Student) -> list[tuple[Kept, Kept]]:
    """What moves; an account and the mails to its address stay as they are."""
    rows = zip(kept_of(Person.of(keep)), kept_of(Person.of(other)), strict=True)
    return [
        (own, moving)
        for own, moving in rows
        if (own.count or moving.count)
        and not own.kind.to_account
        and own.kind.model not in (Student, Email)
    ]


def _likely_to_stay(student: Student) -> tuple[bool, int, int]:
    """The record with the account, then the one with more attendance, then the older one."""
    return (student.user_id is not None, student.attendance.count(), -student.pk)


def _merge_address(*, keep: Student, other: Student) -> str:
    pair = urlencode({"keep": keep.pk, "other": other.pk})
    return f"{reverse('admin:roster_student_merge')}?{pair}"
