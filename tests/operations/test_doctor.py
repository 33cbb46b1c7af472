"""`manage.py doctor` tells a newcomer what is missing, also where nothing works yet."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import DatabaseError
from django.utils import timezone

from accounts.models import User
from checkin.models import JobRun
from checkin.retention import purge
from integrations.operations import doctor
from integrations.operations.findings import Finding, State
from integrations.operations.first_look import as_text, env_file, packages, python
from recognition.engine.pool import WorkerLostError
from recognition.models import FaceTemplate
from roster.models import Student
from tests.support.face_samples import an_embedding
from tests.support.letterbox import mail_server
from tests.support.live_server import free_port
from tests.support.school import a_template

ROOT = Path(__file__).resolve().parent.parent.parent


# Before Django


@pytest.fixture
def a_copy(tmp_path: Path) -> Path:
    """The project as it is after `git clone`: without a `.env`."""
    folder = tmp_path / "rollcall"
    folder.mkdir()
    for name in ("manage.py", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name in ("integrations", "attendance_site"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def ask_doctor(
    folder: Path, *arguments: str, options: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, *options, "manage.py", "doctor", *arguments],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_without_packages_it_names_them_and_says_what_to_run(a_copy: Path) -> None:
    """-S and -I: nothing but the standard library is found."""
    done = ask_doctor(
        a_copy,
        options=(
            "-S",
            "-I",
            "-c",
            "import sys; sys.path.insert(0, '.'); "
            "sys.argv = ['manage.py', 'doctor']; exec(open('manage.py').read())",
        ),
    )
    assert done.returncode == 1, done.stderr
    assert "packages are missing" in done.stdout
    assert "make setup" in done.stdout
    assert "Traceback" not in done.stderr


def test_without_keys_it_says_how_to_get_them(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    line = env_file(tmp_path / ".env")
    assert line["state"] == "error"
    assert "make setup" in line["to_do"]
    monkeypatch.setenv("SECRET_KEY", "x")
    monkeypatch.setenv("TEMPLATE_KEYS", "y")
    assert env_file(tmp_path / ".env")["state"] == "ok"


def test_keys_that_others_may_read_are_told(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("SECRET_KEY=x")
    file.chmod(0o644)
    assert env_file(file)["state"] == "warning"
    file.chmod(0o600)
    assert env_file(file)["state"] == "ok"


def test_an_old_python_is_told() -> None:
    assert python((3, 10, 4))["state"] == "error"
    assert python((3, 13, 0))["state"] == "ok"


def test_packages_of_other_versions_are_told(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("django==1.0\n    # via x\nnumpy-of-windows==1 ; sys_platform == 'win32'\n")
    line = packages(file)
    assert (line["state"], "django" in line["text"]) == ("warning", True)
    file.write_text("no-such-package-of-ours==1.0\n")
    assert packages(file)["state"] == "error"


def test_a_wrong_setting_is_told_in_one_sentence() -> None:
    done = ask_doctor(
        ROOT, SECRET_KEY="s" * 50, TEMPLATE_KEYS=Fernet.generate_key().decode(), DEBUG="yes"
    )
    assert done.returncode == 1
    assert "use 'True' or 'False'" in done.stdout
    assert "Traceback" not in done.stderr


# With Django


@pytest.fixture
def a_worker(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Loading models is slow; the test of the whole command does it."""
    answers: dict[str, Any] = {"ends_with": None}

    class Pool:
        def __init__(self, **_options: Any) -> None: ...
        def warm_up(self) -> Any:
            from concurrent.futures import Future

            answer: Any = Future()
            if answers["ends_with"]:
                answer.set_exception(answers["ends_with"])
            else:
                answer.set_result("dlib-resnet-v1")
            return answer

        def close(self) -> None: ...

    monkeypatch.setattr(doctor, "WorkerPool", Pool)
    return answers


def examined() -> dict[str, Finding]:
    return {finding.part: finding for finding in doctor.examine()}


def test_every_line_that_is_not_well_says_what_to_do(a_worker: Any, db: None) -> None:
    for finding in examined().values():
        assert finding.text.endswith((".", "?")), finding
        assert (finding.state is State.OK) == (finding.to_do == ""), finding


def test_one_part_that_breaks_does_not_hide_the_others(
    a_worker: Any, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise DatabaseError("as user rollcall with password secret")

    monkeypatch.setattr(doctor.User.objects, "filter", refuse)
    found = examined()
    assert found["accounts"].state is State.ERROR
    assert "secret" not in found["accounts"].text
    assert found["disk"].state is State.OK


def test_nobody_who_may_administer_is_told(a_worker: Any, db: None) -> None:
    assert examined()["accounts"].state is State.WARNING
    User.objects.create_superuser("root")
    assert examined()["accounts"].state is State.OK


def test_faces_under_a_lost_and_under_an_old_key_are_told(
    a_worker: Any, eileen: Student, settings: Any
) -> None:
    old, new = settings.TEMPLATE_KEYS[0], Fernet.generate_key().decode()
    a_template(eileen, an_embedding(1))
    assert examined()["faces"].state is State.OK
    settings.TEMPLATE_KEYS = [new, old]
    assert "rotate_keys" in examined()["faces"].to_do
    settings.TEMPLATE_KEYS = [new]
    assert examined()["faces"].state is State.ERROR
    FaceTemplate.objects.all().delete()
    assert examined()["faces"].state is State.OK


def test_workers_that_cannot_start_are_told(a_worker: dict[str, Any], db: None) -> None:
    a_worker["ends_with"] = WorkerLostError("a worker process died")
    assert examined()["workers"].state is State.ERROR
    a_worker["ends_with"] = TimeoutError()
    assert "memory" in examined()["workers"].to_do


def test_the_job_that_deletes_is_missed(a_worker: Any, db: None) -> None:
    assert examined()["retention"].state is State.WARNING
    purge(timezone.now())
    assert examined()["retention"].state is State.OK
    JobRun.objects.update(ended_at=timezone.now() - timedelta(days=3))
    found = examined()["retention"]
    assert (found.state, "purge_expired" in found.to_do) == (State.ERROR, True)


def test_the_mail_server_is_tried_and_gets_no_mail(a_worker: Any, db: None, settings: Any) -> None:
    settings.MAIL_TRANSPORT = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    assert examined()["mail"].state is State.ERROR
    with mail_server(settings.EMAIL_PORT) as box:
        assert examined()["mail"].state is State.OK
    assert box.mails == []


@pytest.mark.parametrize(
    ("address", "behind_proxy", "state"),
    [
        ("http://localhost:8000", False, State.WARNING),
        ("http://rollcall.example.edu", True, State.ERROR),
        ("https://rollcall.example.edu", False, State.WARNING),
        ("https://rollcall.example.edu", True, State.OK),
        ("https://", True, State.ERROR),
    ],
)
def test_addresses_that_give_no_camera_are_told(
    settings: Any, address: str, behind_proxy: bool, state: State
) -> None:
    settings.PUBLIC_URL, settings.BEHIND_PROXY = address, behind_proxy
    assert doctor.camera().state is state


def test_a_folder_that_cannot_be_written_is_told(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings.DATA_DIR = tmp_path / "file" / "var"
    assert doctor.folders().state is State.ERROR
    settings.DATA_DIR = tmp_path / "new"
    settings.MODEL_CACHE_DIR = tmp_path / "new" / "models"
    assert doctor.folders().state is State.OK


def test_a_line_for_people_has_a_word_and_what_to_do() -> None:
    line = {"part": "disk", "state": "error", "text": "Full.", "to_do": "Make room."}
    assert as_text(line) == "ERROR    disk: Full.\n         → Make room."


@pytest.mark.django_db(transaction=True)
def test_the_whole_command_on_a_site_that_works(admin: User, tmp_path: Path) -> None:
    from tests.support.live_server import database_url

    done = ask_doctor(
        ROOT,
        "--json",
        DATABASE_URL=database_url(),
        SECRET_KEY="s" * 60,
        TEMPLATE_KEYS=Fernet.generate_key().decode(),
        DATA_DIR=str(tmp_path),
    )
    answer = json.loads(done.stdout)
    states = {part["part"]: part["state"] for part in answer["parts"]}
    assert (done.returncode, answer["well"]) == (0, True), answer
    assert states["workers"] == states["migrations"] == states["database"] == "ok"
    assert "s" * 60 not in done.stdout
