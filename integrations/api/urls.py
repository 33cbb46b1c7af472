"""Version 1. What stands here is not changed, only added to: see docs/api.md."""

from django.urls import path, re_path

from integrations.api.views.attendance import AttendanceRows, Record
from integrations.api.views.events import Events
from integrations.api.views.kiosks import KioskDetail, Kiosks
from integrations.api.views.me import Me
from integrations.api.views.registrations import Decision, RegistrationDetail, Registrations
from integrations.api.views.reports import CourseReport, SessionReport, StudentReport, TermReport
from integrations.api.views.rest import Description, Nowhere, documentation
from integrations.api.views.roster import (
    ClassList,
    CourseDetail,
    Courses,
    Rooms,
    SessionDetail,
    Sessions,
    StudentDetail,
    Students,
)
from integrations.app_logins.views import LogIn, LogOut, Renew

app_name = "api"

urlpatterns = [
    path("me/", Me.as_view(), name="me"),
    path("students/", Students.as_view(), name="students"),
    path("students/<int:pk>/", StudentDetail.as_view(), name="student"),
    path("courses/", Courses.as_view(), name="courses"),
    path("courses/<int:pk>/", CourseDetail.as_view(), name="course"),
    path("courses/<int:pk>/students/", ClassList.as_view(), name="class_list"),
    path("rooms/", Rooms.as_view(), name="rooms"),
    path("sessions/", Sessions.as_view(), name="sessions"),
    path("sessions/<int:pk>/", SessionDetail.as_view(), name="session"),
    path("sessions/<int:pk>/attendance/<int:student_pk>/", Record.as_view(), name="record"),
    path("attendance/", AttendanceRows.as_view(), name="attendance"),
    path("registrations/", Registrations.as_view(), name="registrations"),
    path("registrations/<int:pk>/", RegistrationDetail.as_view(), name="registration"),
    path("registrations/<int:pk>/decision/", Decision.as_view(), name="decision"),
    path("kiosks/", Kiosks.as_view(), name="kiosks"),
    path("kiosks/<int:pk>/", KioskDetail.as_view(), name="kiosk"),
    path("events/", Events.as_view(), name="events"),
    path("reports/term/", TermReport.as_view(), name="term_report"),
    path("reports/courses/<int:pk>/", CourseReport.as_view(), name="course_report"),
    path("reports/students/<int:pk>/", StudentReport.as_view(), name="student_report"),
    path("reports/sessions/<int:pk>/", SessionReport.as_view(), name="session_report"),
    path("log-in/", LogIn.as_view(), name="log_in"),
    path("log-in/renew/", Renew.as_view(), name="renew"),
    path("log-out/", LogOut.as_view(), name="log_out"),
    path("schema/", Description.as_view(), name="schema"),
    path("docs/", documentation, name="docs"),
    re_path(r"^(?P<rest>.*)$", Nowhere.as_view(), name="nowhere"),
]
