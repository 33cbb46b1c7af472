"""The live page's websocket. `docs/protocol.md` describes every message."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import fields
from importlib import import_module
from typing import Any

from autobahn.exception import Disconnected
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, parse_cookie
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.middleware import showed_second_factor
from accounts.models import User
from accounts.selectors import has_second_factor
from checkin.frames import (
    CLOSE_FORBIDDEN,
    CLOSE_TOO_FAST,
    CLOSE_UNKNOWN,
    MAX_MESSAGES_PER_S,
    MessageRate,
    in_database,
    origin_allowed,
)
from checkin.live.events import live_group
from checkin.live.selectors import Line, RefusedAttempt, Snapshot, snapshot_of, viewer_of
from checkin.membership import Membership
from checkin.outages import Outage

PROTOCOL = 1
#: An open page looks again this often by itself: at its user's rights, and for changes of which
#: no word came.
REREAD_S = 3.0
#: So many words of change at once are one: a full door does not make a page read without end.
GATHER_S = 0.1
MAX_TEXT_LENGTH = 1024
CLOSE_TOO_LARGE = 1009


class Refused(Exception):  # noqa: N818 -- an answer, not a fault
    def __init__(self, code: str, message: str, close_code: int) -> None:
        super().__init__(message)
        self.code, self.message, self.close_code = code, message, close_code


class LiveConsumer(AsyncWebsocketConsumer):
    """One open live page. It is sent the whole once, then whatever differs from that."""

    async def connect(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._rate = MessageRate()
        self._changed = asyncio.Event()
        self._version = 0
        self._sent: dict[str, Any] = {}
        self._outage = Outage()
        self._session_pk: int = self.scope["url_route"]["kwargs"]["session_pk"]
        self._membership = Membership(
            self.channel_layer, live_group(self._session_pk), self.channel_name
        )
        await self.accept()
        if not origin_allowed(self.scope):
            await self._close(
                Refused("origin_refused", _("This page may not look on."), CLOSE_FORBIDDEN)
            )
            return
        # First listen, then look: what happens in between is heard.
        await self._membership.renew()
        self._task = asyncio.create_task(self._keep_telling())

    async def disconnect(self, code: int) -> None:
        if self._task is not None:
            self._task.cancel()
        await self._membership.end()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._closed:
            return
        if self._rate.exceeded(time.monotonic()):
            text = _("More than %(most)d messages a second arrived.")
            await self._close(
                Refused("too_fast", text % {"most": MAX_MESSAGES_PER_S}, CLOSE_TOO_FAST)
            )
        elif bytes_data is not None or len(text_data or "") > MAX_TEXT_LENGTH:
            await self._close(
                Refused("too_large", _("Only a short ping is expected here."), CLOSE_TOO_LARGE)
            )
        elif text_data == '{"type": "ping"}':
            await self._send(type="pong")
        else:
            await self._send(
                type="error",
                code="unknown_message",
                message=_('This message is not known. Expected {"type": "ping"}.'),
            )

    async def live_changed(self, event: dict[str, Any]) -> None:
        self._changed.set()

    async def _keep_telling(self) -> None:
        whose = f"live page of session {self._session_pk}"
        while not self._closed:
            self._changed.clear()
            await self._membership.renew()
            try:
                await self._tell()
            except Refused as refusal:
                await self._close(refusal)
                return
            except Exception as error:
                self._outage.note(whose, "the session could not be read", error)
            else:
                self._outage.end(whose)
            await asyncio.sleep(GATHER_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), REREAD_S)

    async def _tell(self) -> None:
        key = parse_cookie(_cookies(self.scope)).get(settings.SESSION_COOKIE_NAME, "")
        told = await in_database(_read)(key, self._session_pk)
        if not self._version:
            await self._send_next(type="snapshot", protocol=PROTOCOL, **_as_whole(told))
        elif told != self._sent:
            await self._send_next(type="update", **_difference(self._sent, told))
        self._sent = told

    async def _send_next(self, **message: Any) -> None:
        self._version += 1
        await self._send(version=self._version, **message)

    async def _send(self, **message: Any) -> None:
        # Who has left misses nothing; `disconnect` follows.
        with suppress(Disconnected):
            await self.send(text_data=json.dumps(message, ensure_ascii=False))

    async def _close(self, refusal: Refused) -> None:
        self._closed = True
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        await self._send(type="error", code=refusal.code, message=refusal.message)
        await self.close(code=refusal.close_code)


def _cookies(scope: dict[str, Any]) -> str:
    found = (value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie")
    return "; ".join(found)


def _read(session_key: str, session_pk: int) -> dict[str, Any]:
    """What the owner of a login sees of a session.

    Raises:
        Refused: the login has ended, or this session is not for their eyes.
    """
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    if not isinstance(user, User) or not user.is_active or not user.is_staff:
        raise Refused("logged_out", _("Log in at the desk, then open this page."), CLOSE_UNKNOWN)
    request.user = user
    if settings.STAFF_SECOND_FACTOR and not (
        has_second_factor(user) and showed_second_factor(request)
    ):
        text = _("The desk needs your second factor. Load this page again.")
        raise Refused("second_factor", text, CLOSE_FORBIDDEN)
    viewer = viewer_of(user, session_pk)
    if viewer is None:
        raise Refused("not_yours", _("This session is not yours to see."), CLOSE_FORBIDDEN)
    return _as_told(snapshot_of(viewer, timezone.now()))


def _as_told(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "lines": {line.student: _fields_of(line) for line in snapshot.lines},
        "counts": snapshot.counts,
        "latest": [line.student for line in snapshot.latest],
        "refusals": [_fields_of(refusal) for refusal in snapshot.refusals],
        "alerts": snapshot.alerts,
        "state": {"code": snapshot.state, "word": snapshot.state_word},
    }


def _fields_of(shown: Line | RefusedAttempt) -> dict[str, Any]:
    # `asdict` copies each value deeply, which takes longer than reading the class.
    return {field.name: getattr(shown, field.name) for field in fields(shown)}


def _as_whole(told: dict[str, Any]) -> dict[str, Any]:
    return {**told, "lines": list(told["lines"].values())}


def _difference(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The parts that differ; of the students, only those who do, and who is no longer listed."""
    changed = {name: part for name, part in now.items() if part != before[name]}
    if "lines" in changed:
        known = before["lines"]
        changed["lines"] = [line for pk, line in now["lines"].items() if line != known.get(pk)]
        changed["gone"] = [pk for pk in known if pk not in now["lines"]]
    return changed
