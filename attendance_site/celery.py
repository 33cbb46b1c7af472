"""Work beside the requests, in one table: who does it without a broker, and who with one.

Without `CELERY_BROKER_URL` each server process does it in threads. With one the server processes
start none of these; beat tells the workers when to look, and so does whoever has just queued
something. What waits lies in the database in both cases, so that neither a broker that forgets nor
a worker that dies loses anything, and a second beat does no harm.

    celery -A attendance_site worker --queues celery,pictures
    celery -A attendance_site beat
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from multiprocessing import process

from celery import Celery
from celery.schedules import crontab
from celery.signals import worker_process_init

PICTURES = "pictures"
"""The queue of what takes long, so that mails and closings do not wait for it."""


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work.

    ``thread`` starts it in a server process; empty where a cron job does it. ``every`` says when
    beat tells the workers to look, in seconds or as a crontab.
    """

    task: str
    thread: str
    every: float | crontab
    queue: str = "celery"


BACKGROUND = (
    Work("accounts.tasks.deliver_mails", "accounts.mail_delivery.start_mail_delivery", 5.0),
    Work("checkin.tasks.do_what_is_due", "checkin.sessions.clock.start_session_clock", 20.0),
    Work("checkin.tasks.purge_expired", "", crontab(hour="3", minute="17")),
    Work("integrations.tasks.bring_events_into_order", "integrations.work.start_outbox", 5.0),
    Work("integrations.tasks.deliver_webhooks", "integrations.work.start_webhooks", 5.0),
    Work("integrations.tasks.send_notifications", "integrations.work.start_notifications", 5.0),
    Work("integrations.tasks.send_exports", "integrations.work.start_exports", 30.0),
    Work("recognition.tasks.look_for_photos", "recognition.cohort.work.start_photo_imports", 5.0),
    Work(
        "recognition.tasks.measure",
        "recognition.evaluation.work.start_measurements",
        5.0,
        queue=PICTURES,
    ),
)
#: Tasks that other tasks ask for.
SHARED_OUT = {"recognition.tasks.work_on_photos": {"queue": PICTURES}}

#: A worker that is gone, or that was not there, need not catch up on what beat has said since.
HEARD_WITHIN_S = 30.0
HEARD_WITHIN_A_DAY_S = 6 * 3600.0

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "attendance_site.settings")


#: What Python's multiprocessing takes this process for, before a worker forks.
MAIN_PROCESS = process.current_process()


@worker_process_init.connect
def be_a_main_process_again(**_signal: object) -> None:
    """Celery forks its processes with a library of its own, after which Python's multiprocessing
    takes them for daemons, which may have no children. Pictures are looked at in such children.
    """
    process._current_process = MAIN_PROCESS  # type: ignore[attr-defined]
    process._children = set()  # type: ignore[attr-defined]


app = Celery("attendance_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.task_routes = {
    **{work.task: {"queue": work.queue} for work in BACKGROUND},
    **SHARED_OUT,
}
app.conf.beat_schedule = {
    work.task: {
        "task": work.task,
        "schedule": work.every,
        "options": {
            "expires": HEARD_WITHIN_A_DAY_S
            if isinstance(work.every, crontab)
            else max(work.every, HEARD_WITHIN_S)
        },
    }
    for work in BACKGROUND
}
