"""What happens in the services, told to whoever has asked to hear of it.

An app declares its kinds of events and publishes them in the transaction of the change. It does
not know who listens: a later app registers a receiver, which works in the same transaction, so
that an event is kept with what it tells of, or neither is. Without a receiver nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction
from django.utils.functional import Promise

Plain = str | int | bool | None | list[str]


@dataclass(frozen=True, slots=True)
class EventKind:
    """One kind of event. Others build on its name and on what its payload means.

    Fields may be added; whoever changes or removes one raises ``version``. ``permission`` is what
    an account must have to be told, besides seeing the course or the student.
    """

    name: str
    label: str | Promise
    permission: str
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened. ``course`` and ``student`` are primary keys: who may be told.

    The payload holds ids, codes and times, and nothing of a face. ``once`` names an event that
    several processes may publish: the second one is dropped.
    """

    kind: EventKind
    at: datetime
    payload: Mapping[str, Plain]
    course: int | None = None
    student: int | None = None
    once: str | None = None


Receiver = Callable[[Sequence[Event]], None]

_kinds: dict[str, EventKind] = {}
_receivers: list[Receiver] = []


def event_kind(name: str, *, label: str | Promise, permission: str, version: int = 1) -> EventKind:
    """Declare a kind of event, like `attendance.recorded`.

    Raises:
        ValueError: another one has this name.
    """
    if name in _kinds:
        raise ValueError(f"two kinds of events are called {name!r}: give one another name")
    _kinds[name] = EventKind(name, label, permission, version)
    return _kinds[name]


def event_kinds() -> tuple[EventKind, ...]:
    """Every declared kind, by name."""
    return tuple(_kinds[name] for name in sorted(_kinds))


def receive_events(receiver: Receiver) -> None:
    """Hand every event to this receiver from now on, in the transaction that publishes it."""
    if receiver not in _receivers:
        _receivers.append(receiver)


def publish(events: Iterable[Event]) -> None:
    """Tell of what happened, in the caller's transaction.

    Raises:
        RuntimeError: there is no transaction, so that one could be kept without the other.
    """
    told = list(events)
    if not told:
        return
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError(
            f"{told[0].kind.name} was published outside of a transaction: publish it in the one "
            "that writes what it tells of"
        )
    for receiver in _receivers:
        receiver(told)


def utc(moment: datetime | None) -> str | None:
    """A moment as payloads have it: ISO 8601 in UTC, like 2026-11-28T09:00:00.000Z."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
