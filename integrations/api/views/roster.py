"""Students, courses, class lists, rooms and sessions."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from checkin.reports.rates import sessions_in
from integrations.api import serializers as forms
from integrations.api.etags import check_if_match
from integrations.api.roster import change_student, upload_class_list
from integrations.api.serializers import page_answer
from integrations.api.views.base import ApiView, CollectionView, one_of
from roster.models import ClassSession, Course, CourseEnrolment, Room, Student
from roster.selectors import courses_of, students_of


class Students(CollectionView):
    """The students whom this account may see."""

    read_scope = "roster:read"
    read_permission = "roster.view_student"
    query = forms.StudentQuery
    row = forms.StudentOut
    answers = {"GET": page_answer(forms.StudentOut)}

    def rows(self) -> QuerySet[Student]:
        students = students_of(self.user)
        if "student_id" in self.asked:
            students = students.filter(student_id=self.asked["student_id"])
        if "email" in self.asked:
            students = students.filter(email__iexact=self.asked["email"])
        if "course" in self.asked:
            own = courses_of(self.user).filter(pk=self.asked["course"])
            listed = CourseEnrolment.objects.filter(course__in=own)
            students = students.filter(pk__in=listed.values("student"))
        return students


class StudentDetail(ApiView):
    read_scope = "roster:read"
    read_permission = "roster.view_student"
    write_scope = "roster:write"
    write_permission = "roster.change_student"
    bodies = {"PATCH": forms.StudentChange}
    answers = {"GET": forms.StudentOut, "PATCH": forms.StudentOut}
    matched_methods = ("PATCH",)

    def get(self, request: Request, pk: int) -> Response:
        """One student."""
        return Response(self.shown(forms.StudentOut, one_of(students_of(self.user), pk=pk)))

    @transaction.atomic
    def patch(self, request: Request, pk: int) -> Response:
        """Correct the name or the e-mail address. The student number stays."""
        sent = self.sent()
        locked = Student.objects.select_for_update().filter(
            pk__in=students_of(self.user).values("pk")
        )
        student = one_of(locked, pk=pk)
        check_if_match(request, self.shown(forms.StudentOut, student))
        change_student(student=student, by=self.user, **sent)
        answer = Response(self.shown(forms.StudentOut, student))
        answer.about_student = student.pk  # type: ignore[attr-defined]
        return answer


class Courses(CollectionView):
    """The courses that this account may see."""

    read_scope = "roster:read"
    read_permission = "roster.view_course"
    query = forms.CourseQuery
    row = forms.CourseOut
    answers = {"GET": page_answer(forms.CourseOut)}

    def rows(self) -> QuerySet[Course]:
        courses = courses_of(self.user).prefetch_related("lecturers")
        if "code" in self.asked:
            courses = courses.filter(code=self.asked["code"])
        return courses


class CourseDetail(ApiView):
    """One course."""

    read_scope = "roster:read"
    read_permission = "roster.view_course"
    answers = {"GET": forms.CourseOut}

    def get(self, request: Request, pk: int) -> Response:
        courses = courses_of(self.user).prefetch_related("lecturers")
        return Response(self.shown(forms.CourseOut, one_of(courses, pk=pk)))


class ClassList(CollectionView):
    read_scope = "roster:read"
    read_permission = "roster.view_courseenrolment"
    write_scope = "roster:write"
    write_permission = "roster.add_courseenrolment"
    query = forms.ClassListQuery
    row = forms.ClassListOut
    bodies = {"PUT": forms.RosterUpload}
    answers = {"GET": page_answer(forms.ClassListOut), "PUT": forms.RosterOut}

    def get(self, request: Request, pk: int) -> Response:
        """Who is, or was, on the class list of a course."""
        return super().get(request)

    def rows(self) -> QuerySet[CourseEnrolment]:
        course = one_of(courses_of(self.user), pk=self.kwargs["pk"])
        listed = CourseEnrolment.objects.filter(course=course).select_related("student")
        if "on" in self.asked:
            day = self.asked["on"]
            listed = listed.filter(Q(left_on=None) | Q(left_on__gt=day), joined_on__lte=day)
        return listed

    def put(self, request: Request, pk: int) -> Response:
        """Bring a class list up to date: all rows, or none if one of them is wrong.

        A row adds the student to the roster and to the list, or corrects name and e-mail; an
        empty e-mail keeps the one that is known. The same list again changes nothing.
        """
        course = one_of(courses_of(self.user), pk=pk)
        sent = self.sent()
        written = upload_class_list(
            course=course,
            students=sent["students"],
            end_missing=sent["end_missing"],
            by=self.user,
            client=self.caller.name,
        )
        return Response(self.shown(forms.RosterOut, written))


class Rooms(CollectionView):
    """The rooms; they belong to everybody."""

    read_scope = "roster:read"
    read_permission = "roster.view_room"
    row = forms.RoomOut
    answers = {"GET": page_answer(forms.RoomOut)}

    def rows(self) -> QuerySet[Room]:
        return Room.objects.all()


class Sessions(CollectionView):
    """The sessions of the courses that this account may see."""

    read_scope = "roster:read"
    read_permission = "roster.view_classsession"
    query = forms.SessionQuery
    row = forms.SessionOut
    answers = {"GET": page_answer(forms.SessionOut)}

    def rows(self) -> QuerySet[ClassSession]:
        courses = courses_of(self.user)
        if "course" in self.asked:
            courses = courses.filter(pk=self.asked["course"])
        sessions = sessions_in(courses, forms.term_of(self.asked))
        if "room" in self.asked:
            sessions = sessions.filter(room=self.asked["room"])
        return sessions.select_related("course", "room")


class SessionDetail(ApiView):
    """One session."""

    read_scope = "roster:read"
    read_permission = "roster.view_classsession"
    answers = {"GET": forms.SessionOut}

    def get(self, request: Request, pk: int) -> Response:
        return Response(self.shown(forms.SessionOut, one_of(sessions_of(self.user), pk=pk)))


def sessions_of(user: Any) -> QuerySet[ClassSession]:
    own = ClassSession.objects.filter(course__in=courses_of(user))
    return own.select_related("course", "room")
