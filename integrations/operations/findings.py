"""What is asked of a running site and of a new one: each question has one answer."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from enum import StrEnum

import redis
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db import Error as DatabaseError
from django.db.migrations.executor import MigrationExecutor

from recognition.engine.pool import WorkerLostError
from recognition.engine.types import EngineError
from recognition.workers import active_model_id, workers_ready

MEGABYTE = 1024 * 1024
REDIS_TIMEOUT_S = 2.0


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of the site: how it is, and what to do if it is not well. It holds no secrets."""

    part: str
    state: State
    text: str
    to_do: str = ""


def ok(part: str, text: str) -> Finding:
    return Finding(part, State.OK, text)


def warning(part: str, text: str, to_do: str) -> Finding:
    return Finding(part, State.WARNING, text, to_do)


def error(part: str, text: str, to_do: str) -> Finding:
    return Finding(part, State.ERROR, text, to_do)


def database() -> Finding:
    connection = connections[DEFAULT_DB_ALIAS]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as failure:
        # Its text may hold the address and the name of the user.
        return error(
            "database",
            f"The database ({connection.vendor}) does not answer: {type(failure).__name__}.",
            "Look whether it runs, and whether DATABASE_URL is right.",
        )
    return ok("database", f"The database ({connection.vendor}) answers.")


def migrations() -> Finding:
    try:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as failure:
        return error(
            "migrations",
            f"What was migrated cannot be read: {type(failure).__name__}.",
            "See to the database first.",
        )
    if plan:
        return error(
            "migrations",
            f"{len(plan)} migrations are not applied.",
            "Run `manage.py migrate`.",
        )
    return ok("migrations", "All migrations are applied.")


def shared_memory() -> Finding:
    """Redis, where one is configured."""
    if not settings.REDIS_URL:
        return ok("redis", "No Redis is configured: this works for one server process.")
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
    )
    try:
        client.ping()
    except redis.RedisError as failure:
        return error(
            "redis",
            f"Redis does not answer: {type(failure).__name__}.",
            "Look whether it runs, and whether REDIS_URL is right.",
        )
    finally:
        client.close()
    return ok("redis", "Redis answers.")


def workers() -> Finding:
    """Of this server process."""
    try:
        ready = workers_ready()
    except (EngineError, WorkerLostError) as failure:
        return error(
            "workers", f"No face can be recognised: {failure}", "See docs/models.md, then restart."
        )
    if ready is None:
        return error(
            "workers",
            "This process has no workers for frames.",
            "Start the site with `daphne attendance_site.asgi:application`.",
        )
    if not ready:
        return error("workers", "The models are being loaded.", "Wait for a moment.")
    return ok("workers", f"The workers have loaded {active_model_id()}.")


def disk() -> Finding:
    free_mb = shutil.disk_usage(settings.DATA_DIR).free // MEGABYTE
    if free_mb < settings.DISK_FREE_MIN_MB:
        return error(
            "disk",
            f"{free_mb} MB are free for the data, expected {settings.DISK_FREE_MIN_MB}.",
            "Make room on the disk of DATA_DIR, or change DISK_FREE_MIN_MB.",
        )
    if free_mb < 2 * settings.DISK_FREE_MIN_MB:
        return warning(
            "disk", f"{free_mb} MB are free for the data.", "Make room on the disk of DATA_DIR."
        )
    return ok("disk", f"{free_mb} MB are free for the data.")
