"""How far an import is, and what became of it, for the person who started it."""

from __future__ import annotations

from uuid import uuid4

from django.contrib.admin.models import LogEntry
from django.test import Client

from accounts.models import User
from roster.models import Course, Student
from tests.roster.by_file import confirm, preview_list

PAGE = "/admin/roster/courseenrolment/import/"
TWO_STUDENTS = "student_id,name,email\nS-1,Eileen Collins,eileen@example.edu\nS-7,王小明,\n"


def progress(client: Client, job: object) -> dict[str, object]:
    return client.get(f"{PAGE}progress/{job}/").json()


def test_the_page_can_ask_how_many_rows_are_checked_and_written(
    as_alice: Client, math: Course
) -> None:
    job, next_job = uuid4(), uuid4()
    assert progress(as_alice, job) == {}

    previewed = preview_list(as_alice, math, TWO_STUDENTS, progress_id=job)
    assert progress(as_alice, job) == {
        "done": 2,
        "total": 2,
        "sentence": "2 of 2 rows checked",
    }
    confirm(as_alice, previewed, progress_id=next_job)
    assert progress(as_alice, next_job) == {
        "done": 2,
        "total": 2,
        "sentence": "2 of 2 rows written",
    }


def test_charlie_cannot_see_how_far_alices_import_is(
    as_alice: Client, charlie: User, math: Course
) -> None:
    job = uuid4()
    preview_list(as_alice, math, TWO_STUDENTS, progress_id=job)
    other = Client()
    other.force_login(charlie)

    assert progress(other, job) == {}


def test_a_stranger_is_sent_to_the_login(client: Client, db: None) -> None:
    assert client.get(f"{PAGE}progress/{uuid4()}/").status_code == 302


def test_the_page_found_again_lists_what_was_imported(
    as_alice: Client, charlie: User, math: Course, eileen: Student
) -> None:
    confirm(as_alice, preview_list(as_alice, math, TWO_STUDENTS, name="spring.csv"))

    (past,) = as_alice.get(PAGE).context["past_imports"]
    assert (past.by.username, past.subject, past.file_name) == ("alice", str(math), "spring.csv")
    assert (past.new, past.changed, past.same, past.bad) == (1, 0, 1, 0)
    other = Client()
    other.force_login(charlie)
    assert other.get(PAGE).context["past_imports"] == []


def test_the_log_of_the_desk_holds_one_entry_and_no_student(as_alice: Client, math: Course) -> None:
    confirm(as_alice, preview_list(as_alice, math, TWO_STUDENTS))

    entry = LogEntry.objects.get()
    assert "王小明" not in entry.object_repr + entry.change_message
