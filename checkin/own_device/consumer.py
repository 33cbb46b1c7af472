"""The own device's websocket. `docs/protocol.md` describes every message."""

from __future__ import annotations

import asyncio
import secrets
import time
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.client_address import client_address, request_of_socket
from accounts.logs import bind, request_id_of
from accounts.models import User
from checkin.frames import (
    CLOSE_FORBIDDEN,
    CLOSE_REPLACED,
    CLOSE_UNKNOWN,
    FRAME_LIMITS,
    Frame,
    FrameConsumer,
    face_as_shares,
    header,
    in_database,
    origin_allowed,
)
from checkin.live.events import announce
from checkin.liveness import asked_in, level_for
from checkin.membership import Membership
from checkin.metrics import VERDICTS
from checkin.models import Outcome
from checkin.own_device.services import Admission, NotAdmittedError, admit, check_in
from checkin.own_device.texts import hint_text, shown
from recognition.engine.dialogue import AntiSpoofing, CheckInDialogue, Phase, Step
from roster.models import Student

PROTOCOL = 1
#: How often an open connection looks whether its student may still check in.
RECHECK_S = 2.0
CLOSE_DONE = 1000

#: After these there is nothing more to do at this session for now.
RECORDED = (Outcome.PRESENT, Outcome.LATE, Outcome.ALREADY, Outcome.CHECKED_OUT)


class LoggedOutError(Exception):
    """The login of this connection has ended, or never was a student's."""


class OwnDeviceConsumer(FrameConsumer):
    """One student before the own camera, for one session."""

    device = "own_device"
    student_pk: int

    async def connect(self) -> None:
        self._membership: Membership | None = None
        self._session_pk: int = self.scope["url_route"]["kwargs"]["session_pk"]
        self._request = request_of_socket(self.scope)
        bind(request_id=request_id_of(header(self.scope, b"x-request-id")))
        self._dialogue = CheckInDialogue(
            draw=secrets.SystemRandom().random,
            anti_spoofing=AntiSpoofing(settings.ANTI_SPOOFING),
        )
        await self.accept()
        if not origin_allowed(self.scope):
            await self.end("origin_refused", _("This page may not check in."), CLOSE_FORBIDDEN)
            return
        if not await self.recheck():
            return
        self.begin_to_serve()
        await self._replace_older_connection()
        await self.tell(type="welcome", protocol=PROTOCOL, frame=FRAME_LIMITS)
        self.tasks = [
            asyncio.create_task(self.serve_frames()),
            asyncio.create_task(self._keep_rechecking()),
        ]

    async def disconnect(self, code: int) -> None:
        await super().disconnect(code)
        if self._membership is not None:
            await self._membership.end()

    # Frames

    async def answer(self, frame: Frame) -> None:
        now_ms = frame.arrived_s * 1000
        if self._dialogue.showing_verdict(now_ms):
            await self.tell_state(frame, phase=Phase.VERDICT, hint="wait", message="")
            return
        if self._dialogue.phase is Phase.VERDICT:
            # Nobody has to step away from the own device before trying again.
            self._dialogue.start_over()
        if await self.put_off(frame, self._dialogue.phase):
            return
        analysis = await self.analyse(frame, self._dialogue.request())
        step = self._dialogue.step(analysis, now_ms)
        if step.probe is not None or step.refusal is not None:
            await self._decide(frame, step)
            return
        await self.tell_state(
            frame,
            phase=step.phase,
            hint=step.hint,
            message=hint_text(step.hint),
            progress=step.progress,
            asked=asked_in(step),
            face=face_as_shares(step, analysis),
        )

    async def _decide(self, frame: Frame, step: Step) -> None:
        try:
            verdict = await in_database(_checked_in)(self._request, self._session_pk, step)
        except (LoggedOutError, NotAdmittedError) as refusal:
            await self._refuse(refusal)
            return
        self._dialogue.conclude(time.monotonic() * 1000)
        VERDICTS.labels(str(verdict["outcome"]), self.device).inc()
        await self.tell(
            type="verdict",
            seq=frame.seq,
            captured=frame.captured,
            **verdict,
            show_ms=self._dialogue.policy.show_ms,
        )
        await announce([self._session_pk])
        if verdict["outcome"] in RECORDED:
            self.closed = True
            await self.close(code=CLOSE_DONE)
        else:
            await self.try_to_recheck()

    # Who it is, and whether they may

    async def _replace_older_connection(self) -> None:
        group = f"own.{self._session_pk}.{self.student_pk}"
        await self.channel_layer.group_send(group, {"type": "own.replaced"})
        self._membership = Membership(self.channel_layer, group, self.channel_name)
        await self._membership.renew()

    async def own_replaced(self, event: dict[str, Any]) -> None:
        """The student has opened the page once more: only the newest is served."""
        await self.end(
            "replaced", _("This check-in is now open on another screen."), CLOSE_REPLACED
        )

    async def _keep_rechecking(self) -> None:
        while not self.closed:
            await asyncio.sleep(RECHECK_S)
            await self.try_to_recheck()
            if self._membership is not None:
                await self._membership.renew()

    async def recheck(self) -> bool:
        """Whether the student may go on; if not, the connection has been closed."""
        try:
            admission = await in_database(_admitted)(self._request, self._session_pk)
        except (LoggedOutError, NotAdmittedError) as refusal:
            await self._refuse(refusal)
            return False
        student = admission.student
        self.student_pk, self.whose = student.pk, f"student {student.pk}'s own device"
        self._dialogue.liveness = level_for([admission.session])
        return True

    async def _refuse(self, refusal: LoggedOutError | NotAdmittedError) -> None:
        if self.closed:
            return
        if isinstance(refusal, NotAdmittedError):
            await self.end(refusal.obstacle, str(refusal), CLOSE_FORBIDDEN)
        else:
            text = _("You are logged out. Log in, then open the check-in again.")
            await self.end("logged_out", text, CLOSE_UNKNOWN)


def _admitted(request: HttpRequest, session_pk: int) -> Admission:
    return admit(
        student=_student_of(request),
        session_pk=session_pk,
        address=client_address(request),
        at=timezone.now(),
    )


def _checked_in(request: HttpRequest, session_pk: int, step: Step) -> dict[str, Any]:
    """The verdict in words: whose session and course it is, is read here too."""
    result = check_in(
        student=_student_of(request),
        session_pk=session_pk,
        address=client_address(request),
        step=step,
        at=timezone.now(),
    )
    return shown(result)


def _student_of(request: HttpRequest) -> Student:
    """Of the account whose session cookie opened the socket, read anew each time.

    Raises:
        LoggedOutError: the login has ended, or no student hangs on the account.
    """
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)
    if not isinstance(user, User) or not user.is_active:
        raise LoggedOutError
    student = Student.objects.filter(user=user).first()
    if student is None:
        raise LoggedOutError
    return student
