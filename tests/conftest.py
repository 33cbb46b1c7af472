"""The cast. Alice lectures MATH in room 101, Charlie lectures CHEM in room 102."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

# DeepFace chooses its engine once for a process, and takes PyTorch where tests have it installed.
os.environ["DEEPFACE_BACKEND_ENGINE"] = "onnx"

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import OperationalError
from django.db.backends.base.operations import BaseDatabaseOperations
from django.test import Client
from django.utils import translation

from accounts.models import User
from attendance_site.celery import BACKGROUND
from checkin.models import Kiosk
from checkin.services import issue_kiosk_token
from recognition.engine.types import Embedding, Face
from recognition.workers import worker_pool
from roster.models import ClassSession, Course, Room, Student
from tests.support import pictures
from tests.support.school import a_course, a_lecturer, a_session, a_student

#: Nothing there is a test, and looking for doctests in it would start the server that it wraps.
collect_ignore = ["support"]


@pytest.fixture(scope="session", autouse=True)
def _no_threads_of_a_server() -> Iterator[None]:
    """Tests import the server. Its threads would close sessions and take photos of any test."""
    with pytest.MonkeyPatch.context() as patch:
        for work in BACKGROUND:
            if work.thread:
                patch.setattr(work.thread, lambda: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _tables_are_emptied_in_the_end() -> Iterator[None]:
    """After a test with a server of its own all tables are emptied at once.

    Where that server writes a last row into one and waits for the next, PostgreSQL ends one of
    the two, and it may be the emptying.
    """
    flush = BaseDatabaseOperations.execute_sql_flush

    def tried_again(operations: BaseDatabaseOperations, statements: list[str]) -> None:
        for _ in range(3):
            with suppress(OperationalError):
                return flush(operations, statements)
        return flush(operations, statements)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseDatabaseOperations, "execute_sql_flush", tried_again)
        yield


@pytest.fixture(autouse=True)
def _no_counts_from_before() -> None:
    """Limits go by the row's number, and each test's rows are new but their numbers are not."""
    cache.clear()


@pytest.fixture(autouse=True)
def _language_of_the_site() -> None:
    """A page that a test opened leaves its language behind in this thread."""
    translation.activate(settings.LANGUAGE_CODE)


@pytest.fixture
def alice(db: None) -> User:
    return a_lecturer("alice")


@pytest.fixture
def charlie(db: None) -> User:
    return a_lecturer("charlie")


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_superuser("admin", "admin@example.edu")


@pytest.fixture
def math(alice: User) -> Course:
    return a_course("MATH", alice, title="Linear Algebra")


@pytest.fixture
def chem(charlie: User) -> Course:
    return a_course("CHEM", charlie, title="Organic Chemistry")


@pytest.fixture
def eileen(math: Course) -> Student:
    """Studies MATH; her face is the astronaut's."""
    return a_student("S-1", "Eileen Collins", math, email="eileen@example.edu")


@pytest.fixture
def dmitri(chem: Course) -> Student:
    """Studies CHEM."""
    return a_student("S-2", "Dmitri Mendeleev", chem, email="dmitri@example.edu")


@pytest.fixture
def room_101(db: None) -> Room:
    return Room.objects.create(name="101")


@pytest.fixture
def room_102(db: None) -> Room:
    return Room.objects.create(name="102")


@pytest.fixture
def math_session(math: Course, room_101: Room) -> ClassSession:
    """Open now."""
    return a_session(math, room=room_101)


@pytest.fixture
def chem_session(chem: Course, room_102: Room) -> ClassSession:
    """Open now."""
    return a_session(chem, room=room_102)


@pytest.fixture
def kiosk(room_101: Room) -> Kiosk:
    """Stands in room 101, without a token yet."""
    return Kiosk.objects.create(name="Door of 101", room=room_101)


@pytest.fixture
def token(kiosk: Kiosk) -> str:
    return issue_kiosk_token(kiosk)


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def as_admin(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


@pytest.fixture(scope="session")
def astronaut_face() -> Face:
    """What the engine finds on the astronaut's picture."""
    face = worker_pool().analyse_photo(pictures.portrait()).result().main_face
    assert face is not None
    return face


@pytest.fixture(scope="session")
def astronaut_embedding(astronaut_face: Face) -> Embedding:
    assert astronaut_face.embedding is not None
    return astronaut_face.embedding
