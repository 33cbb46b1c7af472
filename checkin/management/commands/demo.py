from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from PIL import Image

from checkin.demo import STUDENTS, School, enrol, set_up_school
from checkin.models import Attendance
from recognition.workers import worker_pool

HOST = "127.0.0.1"
START_TIMEOUT_S = 60
#: A face that is refused may step before the camera again, here as everywhere.
TRIES = 3


class Command(BaseCommand):
    help = (
        "Set up a demo school, start the server and let a virtual kiosk check a student in. "
        "The server then goes on until Ctrl-C."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--once", action="store_true", help="stop after the check-in")

    def handle(self, *args: Any, **options: Any) -> None:
        port = options["port"]
        if not settings.DEBUG:
            raise CommandError("The demo makes accounts and needs DEBUG=True: never in production.")
        if _listening(port):
            raise CommandError(
                f"Port {port} is in use. End the other program, or choose another port: "
                "manage.py demo --port 8001"
            )
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that the server ends with us
        started_s = time.monotonic()
        self._say("Setting up the demo school")
        call_command("migrate", verbosity=0)
        school = set_up_school(settings.DATA_DIR / "demo.json")
        self._enrol(school, _portrait())
        worker_pool().close()

        server = subprocess.Popen(  # noqa: S603 -- our own server
            [
                *(sys.executable, "-m", "daphne", "-v", "0", "-b", HOST, "-p", str(port)),
                "attendance_site.asgi:application",
            ],
            cwd=settings.BASE_DIR,
        )
        try:
            self._wait_until_up(server, port)
            self._check_in(school, port)
            self.stdout.write(f"  took       {time.monotonic() - started_s:.1f} s")
            if not options["once"]:
                self._invite(school, port)
                server.wait()
        except KeyboardInterrupt:
            self.stdout.write("")
        finally:
            server.terminate()
            server.wait()

    def _enrol(self, school: School, portrait: bytes) -> None:
        result = enrol(school.student, portrait)
        if result is not None and result.template is None:
            reasons = [verdict.message for verdict in result.verdicts if not verdict.accepted]
            raise CommandError(f"{result.message} {' '.join(reasons)}")
        self.stdout.write(
            f"  {school.student.name} is enrolled; {len(STUDENTS)} students are on the roster; "
            f"a session of {school.session.course} is open"
        )

    def _wait_until_up(self, server: subprocess.Popen[bytes], port: int) -> None:
        self._say(f"Starting the server on http://{HOST}:{port}")
        give_up_s = time.monotonic() + START_TIMEOUT_S
        while not _listening(port):
            if server.poll() is not None:
                raise CommandError("The server ended; what it said stands above.")
            if time.monotonic() > give_up_s:
                raise CommandError(f"The server did not start within {START_TIMEOUT_S} s.")
            time.sleep(0.1)

    def _check_in(self, school: School, port: int) -> None:
        self._say("A virtual kiosk shows a portrait that does what it is asked to")
        portrait_file = settings.DATA_DIR / "demo-portrait.png"
        portrait_file.write_bytes(_portrait())
        rows = Attendance.objects.filter(session=school.session, student=school.student)
        for _ in range(TRIES):
            call_command(
                "virtual_kiosk",
                portrait_file,
                token=school.secrets.kiosk_token,
                url=f"ws://{HOST}:{port}/ws/kiosk/",
                stdout=self.stdout,
            )
            if rows.exists():
                break
        row = rows.first()
        if row is None:
            raise CommandError("No attendance was recorded: the states above tell how far it came.")
        self._say("The row in the database")
        self.stdout.write(
            f"  attendance {row.pk}: {row.student.student_id} {row.student.name}, "
            f"{row.session.course.code}, {row.status} by {row.method}, "
            f"{timezone.localtime(row.arrived_at):%Y-%m-%d %H:%M:%S %Z}"
        )

    def _invite(self, school: School, port: int) -> None:
        base, secrets = f"http://{HOST}:{port}", school.secrets
        self._say("Now with your own webcam")
        for line in (
            f"Kiosk      {base}/kiosk/#{secrets.kiosk_token}",
            f"Register   {base}/face/ : as student, send pictures of yourself",
            f"Approve    {base}/admin/ : as lecturer; then stand before the kiosk",
            f"Log in as  student   {secrets.student_password}",
            f"           lecturer  {secrets.lecturer_password}",
            f"           admin     {secrets.admin_password}",
            "Ctrl-C ends everything.",
        ):
            self.stdout.write(f"  {line}")
        self.stdout.flush()

    def _say(self, text: str) -> None:
        self.stdout.write(self.style.MIGRATE_HEADING(text))
        self.stdout.flush()


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0


def _portrait() -> bytes:
    """The sample portrait: astronaut Eileen Collins (NASA, public domain)."""
    try:
        from skimage.data import astronaut
    except ImportError:
        raise CommandError(
            "The sample portrait comes with scikit-image: pip install -r requirements-dev.txt"
        ) from None
    content = io.BytesIO()
    Image.fromarray(astronaut()).save(content, "PNG")
    return content.getvalue()
