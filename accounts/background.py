"""Work beside the requests: in threads of the server, or in Celery's workers where there are any.

Whatever waits lies in the database, and whoever does it claims it there. A thread or a worker is
only told to look: a word that is lost, doubled or late does no harm.
"""

from __future__ import annotations

import atexit
import functools
import logging
import threading
import time
from collections.abc import Callable

from celery import current_app
from django.conf import settings
from django.core.cache import cache

logger = logging.getLogger(__name__)

END_TIMEOUT_S = 10
#: More than one word a second about the same work is none too many lost.
TOLD_EVERY_S = 1.0
#: After a broker that did not answer. No request waits for it a second time.
BROKER_SPARED_S = 30.0
#: A word that no worker has heard by then is not needed: the next look has come.
TOLD_FOR_S = 60


class WorkWaits:
    """Tells whoever does one kind of work that there is some, so that it need not wait for the
    next look.

    Args:
        task: the Celery task that does it, where a broker is configured.
    """

    def __init__(self, task: str) -> None:
        self._task = task
        self._heard = threading.Event()
        self._quiet_until_s = 0.0

    def tell(self) -> None:
        """To be called after the commit. It does not raise."""
        if settings.CELERY_BROKER_URL:
            self._tell_workers()
        else:
            self._heard.set()

    def wait(self, timeout_s: float) -> None:
        """Until somebody tells in this process, or for so long. What was told before counts."""
        self._heard.wait(timeout_s)
        self._heard.clear()

    def _tell_workers(self) -> None:
        now_s = time.monotonic()
        if now_s < self._quiet_until_s:
            return
        self._quiet_until_s = now_s + TOLD_EVERY_S
        try:
            # Once more: the connection that is kept may be one from before a restart.
            current_app.send_task(
                self._task,
                expires=TOLD_FOR_S,
                retry=True,
                retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0},
            )
        except Exception as error:
            logger.warning("the broker does not answer: %s; beat will tell", type(error).__name__)
            self._quiet_until_s = now_s + BROKER_SPARED_S


def told_in_brief(work: Callable[[], None]) -> Callable[[], None]:
    """The body of a task, of whose failure the log hears the kind and no more: the text of an
    error may hold names and addresses, and what failed is done by the next look.
    """

    @functools.wraps(work)
    def done() -> None:
        try:
            work()
        except Exception as error:
            logger.error("%s failed: %s", work.__name__, type(error).__name__)

    return done


def run_beside_requests(
    work_until: Callable[[threading.Event], None],
    *,
    name: str,
    wake: WorkWaits | None = None,
) -> None:
    """Run a loop in a thread of this process, which ends it by an event and waits for it.

    ``wake`` is what the loop waits on between two rounds, where that is not the event itself.
    """
    ending = threading.Event()
    thread = threading.Thread(target=work_until, args=(ending,), daemon=True, name=name)
    thread.start()

    def let_it_finish() -> None:
        ending.set()
        if wake is not None:
            wake.tell()
        thread.join(timeout=END_TIMEOUT_S)

    atexit.register(let_it_finish)


# What workers on several hosts need not try again for a while


def pause(work: str, seconds: float) -> None:
    """Let no worker try this for so long, as far as the cache can tell."""
    try:
        cache.set(f"pause.{work}", True, seconds)
    except Exception as error:
        logger.warning("a pause could not be noted: %s", type(error).__name__)


def is_paused(work: str) -> bool:
    """Whether somebody has asked for a pause. A cache that does not answer knows of none."""
    try:
        return bool(cache.get(f"pause.{work}"))
    except Exception as error:
        logger.warning("a pause could not be read: %s", type(error).__name__)
        return False
