"""Who does the work beside the requests, with a broker and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from accounts.background import WorkWaits, is_paused, pause, told_in_brief
from attendance_site import background
from attendance_site.celery import BACKGROUND

ROOT = Path(__file__).resolve().parent.parent
BROKER = "redis://127.0.0.1:1/0"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads that a server would start."""
    names: list[str] = []
    monkeypatch.setattr(background, "import_string", lambda name: lambda: names.append(name))
    return names


def test_without_a_broker_a_server_does_the_work_in_threads(settings, started):
    settings.CELERY_BROKER_URL = ""
    background.start_background_work()
    assert started == [work.thread for work in BACKGROUND if work.thread]
    assert "accounts.mail_delivery.start_mail_delivery" in started


def test_with_a_broker_a_server_starts_none_of_them(settings, started):
    settings.CELERY_BROKER_URL = BROKER
    background.start_background_work()
    assert started == []


def test_the_threads_of_the_table_are_there():
    from django.utils.module_loading import import_string

    assert all(callable(import_string(work.thread)) for work in BACKGROUND if work.thread)


def test_a_thread_is_woken_by_work_that_was_told_of_before(settings):
    settings.CELERY_BROKER_URL = ""
    waits = WorkWaits("accounts.tasks.deliver_mails")
    waits.tell()
    waits.wait(3600)  # returns at once


#: In a process of its own: Celery keeps its settings for good.
TELLS_TWICE = """
import django, logging
django.setup()
from accounts.background import WorkWaits
waits = WorkWaits("accounts.tasks.deliver_mails")
waits.tell()
waits.tell()
print("told")
"""


def test_a_broker_that_does_not_answer_fails_no_request_and_is_spared():
    done = subprocess.run(
        [sys.executable, "-c", TELLS_TWICE],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "attendance_site.settings",
            "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
            "CELERY_BROKER_URL": BROKER,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "told\n", done.stderr
    assert done.stderr.count("the broker does not answer") == 1


@pytest.mark.parametrize(
    ("broker", "database", "words"),
    [
        ("127.0.0.1:6379", "postgres://nobody@127.0.0.1:1/none", "Unexpected value of CELERY"),
        (BROKER, "sqlite:///none.sqlite3", "CELERY_BROKER_URL is set, but DATABASE_URL is not"),
    ],
)
def test_a_broker_that_cannot_serve_is_told_at_the_start(broker, database, words):
    done = subprocess.run(
        [sys.executable, "-c", "import django; django.setup()"],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "attendance_site.settings",
            "DATABASE_URL": database,
            "CELERY_BROKER_URL": broker,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert words in done.stderr


def test_what_fails_is_told_without_its_text(caplog):
    def send() -> None:
        raise ValueError("to eileen@example.edu")

    told_in_brief(send)()
    assert "send failed: ValueError" in caplog.text
    assert "eileen" not in caplog.text


def test_a_pause_holds_for_every_worker():
    assert not is_paused("example")
    pause("example", 60)
    assert is_paused("example")


def test_a_cache_that_is_away_stops_no_work(settings):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": BROKER,
        }
    }
    pause("example", 60)
    assert not is_paused("example")
