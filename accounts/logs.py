"""Log lines that say which request, kiosk and account they belong to, by ids and nothing else.

Used by `LOGGING` before any app is loaded, so that nothing of Django is imported here.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

#: A value, or what finds it once a line is written: an account is known only after a while.
Id = str | int | None | Callable[[], str | int | None]

#: In the order in which they are written.
IDS = ("request_id", "kiosk", "user")

#: As nginx (`$request_id`) and UUIDs are. Nothing else comes in: it would be a text of the client.
WELL_FORMED = re.compile(r"[0-9a-fA-F]{8}[0-9a-fA-F-]{8,56}")

#: The texts of their errors hold ids; those of others may quote what somebody entered.
OUR_PACKAGES = frozenset(
    {"accounts", "attendance_site", "checkin", "integrations", "recognition", "roster"}
)

_ids: ContextVar[Mapping[str, Id]] = ContextVar("ids_of_log_lines", default=MappingProxyType({}))


def request_id_of(given: str) -> str:
    """The id that came with a request if it is one, or a new one."""
    return given if WELL_FORMED.fullmatch(given) else uuid.uuid4().hex


def bind(**ids: Id) -> None:
    """Write these ids into every further line of this task or thread."""
    _ids.set({**_ids.get(), **ids})


@contextmanager
def bound(**ids: Id) -> Iterator[None]:
    """Write these ids into every line within."""
    before = _ids.set({**_ids.get(), **ids})
    try:
        yield
    finally:
        _ids.reset(before)


def ids_in_force() -> dict[str, str | int]:
    """What is known now of where a line comes from."""
    given = _ids.get()
    found = {name: given.get(name) for name in IDS}
    values = {name: value() if callable(value) else value for name, value in found.items()}
    return {name: value for name, value in values.items() if value is not None}


class LineFormatter(logging.Formatter):
    """One line for people.

    Args:
        show_errors: write the texts of all errors; else only those of our own, for the texts of a
            database's or a library's may quote a name or an address.
    """

    def __init__(self, *, show_errors: bool = False) -> None:
        super().__init__("{asctime} {levelname} {name} {message}", style="{")
        self._show_errors = show_errors

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- of logging
        ids = " ".join(f"{name}={value}" for name, value in ids_in_force().items())
        line = super().formatMessage(record)
        return f"{line} [{ids}]" if ids else line

    def formatException(self, ei: Any) -> str:  # noqa: N802 -- of logging
        if self._show_errors or ei[1] is None:
            return super().formatException(ei)
        return _without_quotes(ei[1])


class JsonFormatter(LineFormatter):
    """One JSON object a line, for programs."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **ids_in_force(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _without_quotes(error: BaseException) -> str:
    """The traceback with the kinds of the errors, and the texts of our own."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\n".join(
        "".join(traceback.format_list(traceback.extract_tb(one.__traceback__))) + _named(one)
        for one in reversed(chain)
    )


def _named(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__.partition(".")[0] in OUR_PACKAGES:
        return f"{kind.__qualname__}: {error}"
    return kind.__qualname__
