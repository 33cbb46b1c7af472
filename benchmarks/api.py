"""``python -m benchmarks api``: mixed reads of the API at a fixed rate, on PostgreSQL.

Two server processes over a database of its own on the server that `DATABASE_URL` names, filled with
a term of 40 courses. Requests begin when they are due, whether or not those before are answered,
and times count from then. Servers, database and clients share this machine.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import requests

from benchmarks import serving

if TYPE_CHECKING:
    from accounts.models import User
    from integrations.oauth.services import NewSecret

SERVERS = 2
CLIENTS = 48
WARM_UP_S = 3.0
GOAL_P95_MS = 100
BEHIND_TLS = {"X-Forwarded-Proto": "https"}
COURSES, STUDENTS, IN_CLASS, SESSIONS_EACH = 40, 3000, 60, 10


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks api", description=__doc__)
    parser.add_argument("--rate", type=float, nargs="+", default=[100, 200], metavar="N")
    parser.add_argument("--seconds", type=float, default=20.0, help="of measuring each (20)")
    chosen = parser.parse_args(arguments)
    if min(chosen.rate) <= 0 or chosen.seconds <= 0:
        parser.error("expected a rate and seconds above 0")
    given = os.environ.get("DATABASE_URL", "")
    if not given.startswith("postgres"):
        parser.error(f"DATABASE_URL is {given or 'not set'}, expected postgres://…")
    with (
        tempfile.TemporaryDirectory() as folder,
        _database_beside(given) as url,
        ExitStack() as end,
    ):
        os.environ |= {"API_REQUESTS_PER_MINUTE": "1000000", "BEHIND_PROXY": "True"}
        serving.set_up(Path(folder), url)
        client, addresses = _term()
        servers = [end.enter_context(serving.running_server()) for _ in range(SERVERS)]
        print(f"{'asked/s':>8} {'answered/s':>10} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} CPU")
        _wait_until_ready(port for port, _pid in servers)
        token = _token(servers[0][0], client)
        for rate in chosen.rate:
            _measure(servers, token, addresses, rate, chosen.seconds)


def _wait_until_ready(ports: Iterable[int]) -> None:
    """The workers, of which the API has no need, load their models at the start."""
    for port in ports:
        while True:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            line.request("GET", "/readyz")
            if line.getresponse().status == http.HTTPStatus.OK:
                break
            time.sleep(0.5)


@contextmanager
def _database_beside(url: str) -> Iterator[str]:
    """A database of its own on the same server, dropped afterwards."""
    import psycopg

    name = f"rollcall_bench_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _term() -> tuple[NewSecret, list[str]]:
    """Fill the database; a client that may read all of it, and what is asked for in turn."""
    from django.utils import timezone

    from accounts.models import User
    from checkin.models import Attendance, Kiosk
    from roster.models import ClassSession, Course, CourseEnrolment, Room, Student

    now = timezone.now()
    numbers = range(STUDENTS)
    students = Student.objects.bulk_create(
        Student(student_id=f"S-{n}", name=f"Student {n}", email=f"s{n}@example.edu")
        for n in numbers
    )
    room = Room.objects.create(name="101")
    Kiosk.objects.bulk_create(Kiosk(name=f"Door {n}", room=room) for n in range(20))
    courses = Course.objects.bulk_create(
        Course(code=f"C-{n}", title=f"Course {n}") for n in range(COURSES)
    )
    sessions: list[ClassSession] = []
    for number, course in enumerate(courses):
        members = [students[(number * 37 + n) % STUDENTS] for n in range(IN_CLASS)]
        CourseEnrolment.objects.bulk_create(
            CourseEnrolment(course=course, student=student) for student in members
        )
        begins = [now - timedelta(days=7 * week, hours=3) for week in range(SESSIONS_EACH)]
        held = ClassSession.objects.bulk_create(
            ClassSession(
                course=course,
                room=room,
                starts_at=at,
                ends_at=at + timedelta(hours=2),
                closed_at=at + timedelta(hours=2),
            )
            for at in begins
        )
        Attendance.objects.bulk_create(
            Attendance(
                session=session,
                student=student,
                status="present",
                method="face",
                arrived_at=session.starts_at,
            )
            for session in held
            for student in members
        )
        sessions += held
    administrator = User.objects.create_superuser("bench", "bench@example.edu")
    return _client(administrator), [
        "me/",
        "students/",
        f"students/?student_id={students[7].student_id}",
        f"students/{students[70].pk}/",
        "courses/",
        f"courses/{courses[3].pk}/",
        f"courses/{courses[3].pk}/students/",
        f"sessions/?course={courses[5].pk}",
        f"sessions/{sessions[9].pk}/",
        f"attendance/?session={sessions[11].pk}",
        f"attendance/?student={students[40].pk}",
        "kiosks/",
        "registrations/",
        "events/",
        f"reports/sessions/{sessions[15].pk}/",
        f"reports/courses/{courses[8].pk}/",
    ]


def _client(account: User) -> NewSecret:
    """Another system, which acts as this account and may read everything."""
    from integrations.oauth.models import ApiClient
    from integrations.oauth.scopes import SCOPES
    from integrations.oauth.services import register_client

    kind = ApiClient.Kind.MACHINE
    client = ApiClient(name="bench", kind=kind, scopes=list(SCOPES), service_account=account)
    return register_client(client)


def _token(port: int, client: NewSecret) -> str:
    answer = requests.post(
        f"http://127.0.0.1:{port}/oauth/token/",
        data={"grant_type": "client_credentials"},
        auth=(client.client_id, client.secret),
        headers=BEHIND_TLS,
        timeout=60,
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def _measure(
    servers: Sequence[tuple[int, int]],
    token: str,
    addresses: Sequence[str],
    rate: float,
    seconds: float,
) -> None:
    answers: list[tuple[float, float, int, str]] = []
    numbers, lock = itertools.count(), threading.Lock()
    headers = {"Authorization": f"Bearer {token}", **BEHIND_TLS}
    begins_s = time.monotonic() + 0.5
    ends_s = begins_s + WARM_UP_S + seconds

    def client(port: int) -> None:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            with lock:
                number = next(numbers)
            due_s = begins_s + number / rate
            if due_s >= ends_s:
                return
            time.sleep(max(0.0, due_s - time.monotonic()))
            address = addresses[number % len(addresses)]
            line.request("GET", f"/api/v1/{address}", headers=headers)
            answer = line.getresponse()
            answer.read()
            answers.append((due_s, time.monotonic() - due_s, answer.status, address))

    before = [serving.load_of(pid).cpu_s for _port, pid in servers]
    threads = [
        threading.Thread(target=client, args=(servers[n % len(servers)][0],))
        for n in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = [serving.load_of(pid).cpu_s for _port, pid in servers]
    measured = [one for one in answers if one[0] >= begins_s + WARM_UP_S]
    wrong = Counter((status, address) for *_times, status, address in measured if status != 200)
    if wrong:
        raise SystemExit(f"Not answered as expected: {dict(wrong)}")
    took_ms = 1000 * np.array([took_s for _due, took_s, *_what in measured])
    p50, p95, p99 = np.percentile(took_ms, (50, 95, 99))
    done_s = max(due_s + took_s for due_s, took_s, *_what in measured) - begins_s - WARM_UP_S
    cpu = (sum(after) - sum(before)) / (done_s + WARM_UP_S)
    goal = (
        "" if rate < 200 else f"goal p95 {GOAL_P95_MS}: {'met' if p95 <= GOAL_P95_MS else 'MISSED'}"
    )
    print(
        f"{rate:>8.0f} {len(measured) / done_s:>10.1f} {p50:>8.1f} {p95:>8.1f} {p99:>8.1f} "
        f"{cpu:.2f} processors {goal}"
    )
    slowest = {
        address: float(
            np.median([1000 * took for _due, took, _s, where in measured if where == address])
        )
        for address in addresses
    }
    for address in sorted(slowest, key=lambda one: -slowest[one])[:3]:
        print(f"{'':>8} {slowest[address]:.1f} ms at {address}")
