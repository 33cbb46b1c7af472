"""The questions of `manage.py doctor` that need Django. Each is asked, also after one that failed.

Nothing is changed, no mail is sent, and no answer holds a secret.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as NoAnswerError
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import get_connection
from django.utils import timezone

from accounts.keyring import keyring
from accounts.models import User
from checkin.models import JobRun, Kiosk
from integrations.operations.findings import (
    Finding,
    database,
    disk,
    error,
    migrations,
    ok,
    shared_memory,
    warning,
)
from recognition.checks import models_are_known_and_there
from recognition.engine.pool import WorkerLostError, WorkerPool
from recognition.engine.types import EngineError
from recognition.models import FaceTemplate
from recognition.sealing import TemplateUnreadableError
from recognition.workers import model_choice

#: Loading the models on a slow machine.
WORKER_TIMEOUT_S = 90
RETENTION_DUE_AFTER = timedelta(days=2)
MAIL_TIMEOUT_S = 10
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


def examine() -> Iterator[Finding]:
    """Everything, in the order in which it would be put right."""
    for part, question in QUESTIONS.items():
        try:
            yield question()
        except Exception as failure:
            yield error(part, f"It could not be asked: {type(failure).__name__}.", _AFTER_OTHERS)


_AFTER_OTHERS = "Put right what stands above, then ask again."


def secrets() -> Finding:
    if len(settings.SECRET_KEY) < 50 or settings.SECRET_KEY.startswith("django-insecure"):
        return warning(
            "keys",
            "SECRET_KEY is short or was made for examples.",
            "Take the 50 signs of `python -c 'import secrets; print(secrets.token_urlsafe(50))'`.",
        )
    try:
        keyring()
    except ImproperlyConfigured as failure:
        return error("keys", str(failure), "Run `make setup` on a machine without faces.")
    if settings.SECRET_KEY in settings.TEMPLATE_KEYS:
        return warning("keys", "SECRET_KEY and TEMPLATE_KEYS are the same.", "Take two.")
    return ok("keys", f"SECRET_KEY is set, and {len(settings.TEMPLATE_KEYS)} keys for faces.")


def faces() -> Finding:
    """Whether the keys at hand open what is kept: by one template, the newest."""
    template = FaceTemplate.objects.filter(revoked_at=None).order_by("-pk").first()
    if template is None:
        return ok("faces", "No face is enrolled yet.")
    try:
        template.vector()
    except TemplateUnreadableError as failure:
        return error("faces", str(failure), "Bring the lost key back into TEMPLATE_KEYS.")
    try:
        Fernet(settings.TEMPLATE_KEYS[0]).decrypt(bytes(template.sealed_vector))
    except InvalidToken:
        return warning(
            "faces",
            "Faces are encrypted with an older key.",
            "Run `manage.py rotate_keys`; see docs/operations.md.",
        )
    return ok("faces", "The newest template opens with the first of TEMPLATE_KEYS.")


def folders() -> Finding:
    closed = [folder for folder in (settings.DATA_DIR, settings.MODEL_CACHE_DIR) if _shut(folder)]
    if closed:
        named = ", ".join(map(str, closed))
        return error(
            "folders",
            f"Nothing can be written into {named}.",
            "Give the account that runs the site the right to write there, or set DATA_DIR.",
        )
    return ok("folders", f"{settings.DATA_DIR} can be written.")


def _shut(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            return False
    except OSError:
        return True


def accounts() -> Finding:
    if not User.objects.filter(is_superuser=True, is_active=True).exists():
        return warning(
            "accounts", "Nobody may administer the site.", "Run `manage.py createsuperuser`."
        )
    return ok("accounts", "There is an administrator.")


def mail() -> Finding:
    """Connects as for a mail, logs in, and sends none."""
    transport = settings.MAIL_TRANSPORT
    if not transport.endswith("smtp.EmailBackend"):
        where = transport.rsplit(".", 2)[-2]
        if settings.DEBUG:
            return ok("mail", f"Mails go to: {where}.")
        return warning(
            "mail",
            f"Mails reach nobody: they go to: {where}.",
            "Set EMAIL_URL, see docs/deploy.md.",
        )
    try:
        with closing(get_connection(transport, timeout=MAIL_TIMEOUT_S)) as connection:
            connection.open()
    except Exception as failure:
        # Of sockets, TLS and SMTP; the text may hold the name of the login.
        return error(
            "mail",
            f"The mail server does not take us: {type(failure).__name__}.",
            "See to host, port, user, password and encryption in EMAIL_URL.",
        )
    return ok("mail", "The mail server takes us.")


def models() -> Finding:
    messages = models_are_known_and_there(None)
    if messages:
        first = messages[0]
        return error("models", str(first.msg), str(first.hint or "See docs/models.md."))
    return ok("models", f"The files of {settings.RECOGNITION_MODEL} are there.")


def workers() -> Finding:
    """Starts one worker of its own: those of a running server are asked by its /readyz."""
    with closing(
        WorkerPool(workers=1, models=model_choice(), model_cache_dir=settings.MODEL_CACHE_DIR)
    ) as pool:
        try:
            model_id = pool.warm_up().result(timeout=WORKER_TIMEOUT_S)
        except (EngineError, WorkerLostError) as failure:
            return error("workers", f"No face can be recognised: {failure}", "See docs/models.md.")
        except NoAnswerError:
            return error(
                "workers",
                f"A worker did not load its models within {WORKER_TIMEOUT_S} s.",
                "Look whether the machine has memory and processors to spare.",
            )
    return ok("workers", f"A worker loads {model_id} and answers.")


def camera() -> Finding:
    """Browsers give the camera to secure pages only, and to pages of the same machine."""
    address = urlsplit(settings.PUBLIC_URL)
    if address.hostname in LOCAL_HOSTS:
        return warning(
            "camera",
            f"{settings.PUBLIC_URL} gives a camera on this machine only.",
            "For other devices set up https and PUBLIC_URL, see docs/deploy.md.",
        )
    if address.scheme != "https":
        return error(
            "camera",
            f"Browsers give no camera to {settings.PUBLIC_URL}: it is not https.",
            "Put a proxy with a certificate before the site, see docs/deploy.md.",
        )
    if not address.hostname or not settings.ALLOWED_HOSTS:
        return error(
            "camera", "Nobody can open the site: ALLOWED_HOSTS is empty.", "Set ALLOWED_HOSTS."
        )
    if not settings.BEHIND_PROXY:
        return warning(
            "camera",
            "The site is reached by https, and BEHIND_PROXY is False.",
            "If a proxy stands before it set BEHIND_PROXY=True, or pages redirect for ever.",
        )
    return ok("camera", f"{settings.PUBLIC_URL} gives browsers a camera.")


def time_zone() -> Finding:
    if settings.TIME_ZONE == "UTC":
        return warning(
            "time zone",
            "Courses that name no time zone are shown in UTC.",
            "Set TIME_ZONE, for example to Europe/Berlin, unless you are there.",
        )
    return ok("time zone", f"{settings.TIME_ZONE}, where it is {timezone.localtime():%H:%M}.")


def retention() -> Finding:
    run = JobRun.objects.filter(job=JobRun.Job.RETENTION).first()
    to_do = "Let cron or a systemd timer run `manage.py purge_expired` every day."
    if run is None:
        return warning("retention", "What is past its time was never deleted.", to_do)
    ago = timezone.now() - run.ended_at
    if ago > RETENTION_DUE_AFTER:
        return error("retention", f"What is past its time waits since {ago.days} days.", to_do)
    return ok("retention", f"What is past its time was deleted {ago.seconds // 3600} hours ago.")


def kiosks() -> Finding:
    count = Kiosk.objects.filter(revoked_at=None).count()
    if not count:
        return warning(
            "kiosks", "There is no kiosk yet.", "Add one at the desk, and pair a device."
        )
    return ok("kiosks", f"There are {count} kiosks; the desk says how each of them is.")


def debug() -> Finding:
    if settings.DEBUG:
        return warning(
            "debug",
            "DEBUG is True: errors show settings, and cookies go without https.",
            "Set DEBUG=False everywhere but on the machine of who develops.",
        )
    return ok("debug", "DEBUG is False.")


def processors() -> Finding:
    there = os.cpu_count() or 1
    if there < settings.RECOGNITION_WORKERS:
        return warning(
            "processors",
            f"{settings.RECOGNITION_WORKERS} workers share {there} processors.",
            f"Set RECOGNITION_WORKERS={there}.",
        )
    return ok("processors", f"{settings.RECOGNITION_WORKERS} workers, {there} processors.")


QUESTIONS: dict[str, Callable[[], Finding]] = {
    "keys": secrets,
    "folders": folders,
    "disk": disk,
    "database": database,
    "migrations": migrations,
    "redis": shared_memory,
    "faces": faces,
    "accounts": accounts,
    "kiosks": kiosks,
    "models": models,
    "processors": processors,
    "workers": workers,
    "mail": mail,
    "camera": camera,
    "time zone": time_zone,
    "retention": retention,
    "debug": debug,
}
