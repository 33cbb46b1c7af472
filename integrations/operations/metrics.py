"""What Prometheus reads of this process, and of the site as the database has it.

Counters and histograms are of this process (`checkin.metrics`, django-prometheus): each process is
read on its own port, and Prometheus adds them up. What is read from the database is the same in
each of them: take the largest. Labels are closed sets, never a name, a number or an address.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from django.db import Error as DatabaseError
from django.db.models import Count
from django.utils import timezone
from post_office.models import STATUS, Email
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from checkin.kiosk import galleries
from checkin.kiosks.health import Standing, standing_of
from checkin.models import JobRun, Kiosk
from integrations.models import Notification, OutboxMessage, WebhookDelivery
from recognition.engine.pool import WorkerLostError
from recognition.engine.types import EngineError
from recognition.workers import worker_pool, workers_ready
from roster.selectors import open_sessions

logger = logging.getLogger(__name__)

Gauges = Iterator[GaugeMetricFamily]


def mail_deliveries() -> Mapping[str, int]:
    """Mails that wait and mails that were given up, until they are deleted."""
    counts: dict[int, int] = dict(
        Email.objects.values_list("status").annotate(Count("pk")).order_by()
    )
    return {
        "waiting": counts.get(STATUS.queued, 0) + counts.get(STATUS.requeued, 0),
        "failed": counts.get(STATUS.failed, 0),
    }


def events_to_order() -> Mapping[str, int]:
    """Events that were committed and have no position yet, so that nobody can read them."""
    return {"waiting": OutboxMessage.objects.filter(position=None).count()}


def webhook_deliveries() -> Mapping[str, int]:
    """Events on their way to other systems, and those that were given up, while they are kept."""
    return _counted(WebhookDelivery)


def notifications() -> Mapping[str, int]:
    """Messages on their way to people, and those that were given up, while they are kept."""
    return _counted(Notification)


def _counted(model: type[WebhookDelivery | Notification]) -> Mapping[str, int]:
    counts = dict(model.objects.values_list("state").annotate(Count("pk")).order_by())
    return {"waiting": counts.get("waiting", 0), "failed": counts.get("given_up", 0)}


#: Whatever is delivered later than it is caused, with how much of it waits and failed.
DELIVERIES: dict[str, Callable[[], Mapping[str, int]]] = {
    "mail": mail_deliveries,
    "outbox": events_to_order,
    "webhooks": webhook_deliveries,
    "notifications": notifications,
}


def exposition() -> tuple[bytes, str]:
    """Everything, as text, and the kind of text."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST


class SiteCollector(Collector):
    """Figures that are looked up when Prometheus asks."""

    def describe(self) -> Gauges:
        """Nothing: the registry must not ask the database before the apps are loaded."""
        return iter(())

    def collect(self) -> Gauges:
        yield from _of_process()
        try:
            of_site = list(_of_site())
        except DatabaseError as error:
            logger.warning("the site's figures cannot be read: %s", type(error).__name__)
            of_site = []
        yield from of_site
        yield _gauge("rollcall_database_up", "1 if the database answers.", int(bool(of_site)))


def _of_process() -> Gauges:
    if _has_workers():
        pool = worker_pool()
        yield _gauge("rollcall_workers", "Worker processes for frames.", pool.workers)
        waiting = max(0, pool.calls - pool.workers)
        yield _gauge("rollcall_worker_queue", "Frames and photos that wait for one.", waiting)
    sizes = galleries.sizes()
    yield _gauge("rollcall_galleries", "Galleries in memory.", len(sizes))
    yield _gauge("rollcall_gallery_templates", "Templates in them.", sum(sizes))
    yield _gauge("rollcall_gallery_largest", "In the largest one.", max(sizes, default=0))


def _has_workers() -> bool:
    try:
        return workers_ready() is not None
    except (EngineError, WorkerLostError):
        return True  # they were started, and /readyz says what is wrong with them


def _of_site() -> Gauges:
    at = timezone.now()
    deliveries = GaugeMetricFamily(
        "rollcall_deliveries",
        "What is still to be sent, and what was given up.",
        labels=["queue", "state"],
    )
    for queue, counts in DELIVERIES.items():
        for state, count in counts().items():
            deliveries.add_metric([queue, state], count)
    yield deliveries
    kiosks = GaugeMetricFamily("rollcall_kiosks", "Kiosks by how they are.", labels=["state"])
    standings = Counter(standing_of(kiosk, at=at) for kiosk in Kiosk.objects.all())
    for standing in Standing:
        kiosks.add_metric([standing.value], standings[standing])
    yield kiosks
    yield _gauge("rollcall_open_sessions", "Sessions that are open.", len(open_sessions(at)))
    jobs = GaugeMetricFamily(
        "rollcall_job_ended_timestamp_seconds", "When a daily job last ended.", labels=["job"]
    )
    for run in JobRun.objects.all():
        jobs.add_metric([run.job], run.ended_at.timestamp())
    yield jobs


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value=value)


REGISTRY.register(SiteCollector())
