"""The kiosk's websocket. `docs/protocol.md` describes every message."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.http import parse_cookie
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.client_address import request_of_socket
from accounts.logs import bind, request_id_of
from checkin.appeals.not_me import NotMeRefusedError
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
from checkin.kiosk import (
    FOR_GOOD,
    Claim,
    Concern,
    OnceMore,
    RefusedCodes,
    Verdict,
    WrongCode,
    give_claim_up,
    looked_after,
    not_me,
    raise_concern,
    takes_passes,
    verdict_on,
    verdict_on_claim,
    verdict_on_pass,
)
from checkin.kiosks.health import NOTED_EVERY, device_in, note
from checkin.language import KIOSK_COOKIE, language_at
from checkin.live.events import announce
from checkin.liveness import asked_in, level_for
from checkin.membership import Membership
from checkin.metrics import VERDICTS
from checkin.models import CheckinAttempt, Kiosk
from checkin.passes.services import PassRefusal
from checkin.selectors import kiosk_with_token
from checkin.services import hash_token
from checkin.texts import HINT_TEXTS, NO_SESSION, NOT_ME_TOO_LATE, UNDONE_TEXT, UNDONE_TITLE
from recognition.engine.dialogue import AntiSpoofing, CheckInDialogue, PassEnd, Phase, Step
from recognition.engine.types import FrameAnalysis
from roster.models import ClassSession

logger = logging.getLogger(__name__)

PROTOCOL = 1

#: How often an open connection looks whether its kiosk is revoked and which sessions are open.
RECHECK_S = 2.0

#: How long after the verdict somebody may say "not me".
NOT_ME_S = 10.0

#: How long the screen says what is wrong with a code.
WRONG_CODE_S = 2.5

#: How long a closing connection waits for what is still to be told to others.
LAST_WORDS_S = 8.0

#: Work that outlives the answer, and if need be the connection. Kept here: the loop holds its tasks
#: by weak references only.
_AFTERWARDS: set[asyncio.Task[None]] = set()

#: Once one of these is reached, the next person is being served.
SERVING = (Phase.CHALLENGE, Phase.MATCHING, Phase.PASS)


@dataclass(slots=True)
class _Claimed:
    """A claim that waits for its pass, the picture of its face, and the codes that were wrong."""

    claim: Claim
    picture: bytes
    refused: RefusedCodes = field(default_factory=RefusedCodes)


@dataclass(frozen=True, slots=True)
class _Disownable:
    attempt: CheckinAttempt
    until_s: float


@dataclass(frozen=True, slots=True)
class _Correction:
    sentence: str
    until_s: float


class KioskConsumer(FrameConsumer):
    """One kiosk's connection."""

    not_rechecked = "the sessions could not be read"
    kiosk: Kiosk

    async def connect(self) -> None:
        self._membership: Membership | None = None
        self._claimed: _Claimed | None = None
        self._refused_codes = RefusedCodes()
        self._disownable: _Disownable | None = None
        self._correction: _Correction | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._sessions: list[ClassSession] = []
        self._sessions_shown: list[dict[str, Any]] | None = None
        self._noted_s: float | None = None
        self._dialogue = CheckInDialogue(
            draw=secrets.SystemRandom().random,
            anti_spoofing=AntiSpoofing(settings.ANTI_SPOOFING),
        )
        bind(request_id=request_id_of(header(self.scope, b"x-request-id")))
        await self.accept()
        if not origin_allowed(self.scope):
            await self.end("origin_refused", _("This page may not use kiosks."), CLOSE_FORBIDDEN)
            return
        token = token_of(self.scope)
        kiosk = await in_database(kiosk_with_token)(token)
        # Of this connection's tasks, to its end.
        translation.activate(language_at(kiosk, request_of_socket(self.scope)))
        if kiosk is None:
            await self.end(
                "kiosk_unknown",
                _("No kiosk has this token. Pair this device with the code of a kiosk."),
                CLOSE_UNKNOWN,
            )
            return
        if kiosk.revoked_at is not None:
            await self._close_revoked()
            return
        self.kiosk, self.whose = kiosk, f"kiosk {kiosk.pk}"
        self._token_hash = hash_token(token)
        bind(kiosk=kiosk.pk)
        self.begin_to_serve()
        await self._replace_older_connection()
        await self.tell(
            type="welcome",
            protocol=PROTOCOL,
            kiosk=kiosk.name,
            frame=FRAME_LIMITS,
        )
        await self.recheck()
        self.tasks = [
            asyncio.create_task(self.serve_frames()),
            asyncio.create_task(self._keep_rechecking()),
        ]

    async def disconnect(self, code: int) -> None:
        await super().disconnect(code)
        if self._membership is not None:
            await self._membership.end()
        if self._telling:
            # It ends by itself, also where this wait is cut short.
            await asyncio.wait(self._telling, timeout=LAST_WORDS_S)

    # Frames

    async def answer(self, frame: Frame) -> None:
        if not self._sessions:
            await self.tell_state(frame, phase="idle", hint="wait", message=str(NO_SESSION))
            return
        if self._dialogue.showing_verdict(frame.arrived_s * 1000):
            await self.tell_state(frame, phase=Phase.VERDICT, hint="wait", message="")
            return
        if await self.put_off(frame, self._dialogue.phase):
            return
        analysis = await self.analyse(frame, self._dialogue.request())
        step = self._dialogue.step(analysis, frame.arrived_s * 1000)
        if step.phase in SERVING:
            self._disownable = None
        if step.probe is not None or step.refusal is not None:
            await self._decide(frame, step, analysis)
        elif step.ended is not None:
            await self._give_up(frame, step, analysis)
        elif step.code is not None:
            await self._take_code(frame, step, analysis)
        else:
            await self._tell_step(frame, step, analysis)

    async def take_message(self, message: Any) -> bool:
        device = device_in(message)
        if device is not None:
            self.meter.device = device
            return True
        if message != {"type": "not_me"}:
            return False
        await self._undo()
        return True

    async def _decide(self, frame: Frame, step: Step, analysis: FrameAnalysis) -> None:
        decided = await in_database(verdict_on)(
            self.kiosk,
            self._sessions,
            step,
            timezone.now(),
            may_look_again=self._dialogue.may_look_again,
        )
        if isinstance(decided, Verdict):
            await self._conclude(frame, decided, frame.jpeg)
            return
        if isinstance(decided, OnceMore):
            step = self._dialogue.look_again(time.monotonic() * 1000)
            await self._tell_step(frame, step, analysis)
            return
        self._claimed, self._correction = _Claimed(decided, frame.jpeg), None
        step = self._dialogue.ask_for_pass(time.monotonic() * 1000)
        await self._tell_step(frame, step, analysis)

    async def _take_code(self, frame: Frame, step: Step, analysis: FrameAnalysis) -> None:
        """A code has come before the camera: of who was recognised, or of anybody."""
        assert step.code is not None  # noqa: S101 -- for the type checker
        claimed = self._claimed if step.phase is Phase.PASS else None
        refused = claimed.refused if claimed else self._refused_codes
        known = refused.get(step.code, frame.arrived_s)
        try:
            decided = known or await self._try_code(claimed, step.code)
        except Exception:
            # Who goes on holding it up need not take it down first.
            self._dialogue.read_code_again()
            raise
        if isinstance(decided, Verdict):
            # Of who was recognised the face is the evidence, and a code may hide it by now.
            await self._conclude(frame, decided, claimed.picture if claimed else frame.jpeg)
            return
        if claimed or decided.refusal in FOR_GOOD:
            refused.add(step.code, decided, frame.arrived_s)
        # A code on the wall is not worth a second word.
        if claimed or known is None or decided.refusal is not PassRefusal.FOREIGN:
            self._correction = _Correction(decided.sentence, frame.arrived_s + WRONG_CODE_S)
        await self._tell_step(frame, step, analysis)
        if known is None:
            await self._announce()

    async def _try_code(self, claimed: _Claimed | None, code: str) -> Verdict | WrongCode:
        now = timezone.now()
        if claimed is None:
            return await in_database(verdict_on_pass)(self.kiosk, self._sessions, code, now)
        return await in_database(verdict_on_claim)(
            self.kiosk, self._sessions, claimed.claim, code, now
        )

    async def _give_up(self, frame: Frame, step: Step, analysis: FrameAnalysis) -> None:
        """No pass came. Somebody else who stands there now is served without further ado."""
        assert step.ended is not None  # noqa: S101 -- for the type checker
        claimed, self._claimed = self._claimed, None
        if claimed is None:
            await self._tell_step(frame, step, analysis)
            return
        verdict = await in_database(give_claim_up)(
            self.kiosk, self._sessions, claimed.claim, step.ended, timezone.now()
        )
        if step.ended is PassEnd.TIMEOUT:
            await self._conclude(frame, verdict, claimed.picture)
        else:
            await self._tell_step(frame, step, analysis)
            await self._announce()

    async def _conclude(self, frame: Frame, verdict: Verdict, picture: bytes) -> None:
        now_s = time.monotonic()
        self._dialogue.conclude(now_s * 1000)
        self._claimed = self._correction = self._disownable = None
        if verdict.disownable is not None:
            self._disownable = _Disownable(verdict.disownable, now_s + NOT_ME_S)
        VERDICTS.labels(verdict.outcome.value, self.device).inc()
        await self.tell(
            type="verdict",
            seq=frame.seq,
            captured=frame.captured,
            outcome=verdict.outcome,
            name=verdict.name,
            time=verdict.time,
            title=verdict.title,
            message=verdict.message,
            tone=verdict.tone,
            show_ms=self._dialogue.policy.show_ms,
            not_me_ms=round(NOT_ME_S * 1000) if self._disownable else None,
        )
        if verdict.concern is not None:
            self._tell_others(verdict.concern, picture)
        await self._announce()
        await self.try_to_recheck()

    async def _undo(self) -> None:
        """Undo the last verdict, which this connection remembers: the client names none."""
        disownable, self._disownable = self._disownable, None
        if disownable is None or time.monotonic() > disownable.until_s:
            await self._tell_not_undone(str(NOT_ME_TOO_LATE))
            return
        try:
            await in_database(not_me)(disownable.attempt, timezone.now())
        except NotMeRefusedError as refusal:
            await self._tell_not_undone(str(refusal))
            return
        except Exception:
            logger.exception("%s: a check-in could not be undone", self.whose)
            await self._tell_not_undone(_("Not undone. Talk to your lecturer."))
            return
        await self.tell(
            type="undone",
            title=str(UNDONE_TITLE),
            message=str(UNDONE_TEXT),
            tone="notice",
            show_ms=self._dialogue.policy.show_ms,
        )
        await self._announce()
        await self.try_to_recheck()

    async def _tell_not_undone(self, message: str) -> None:
        await self.tell(type="error", seq=None, code="not_undone", message=message)

    # What others hear of it

    def _tell_others(self, concern: Concern, picture: bytes) -> None:
        """Off the way of the answers: cutting and sealing a picture takes its time."""
        task = asyncio.create_task(self._raise(concern, picture))
        for kept in (_AFTERWARDS, self._telling):
            kept.add(task)
            task.add_done_callback(kept.discard)

    async def _raise(self, concern: Concern, picture: bytes) -> None:
        try:
            await in_database(raise_concern)(concern, self.kiosk, picture, timezone.now())
        except Exception:
            logger.exception("%s: nobody was told of attempt %s", self.whose, concern.attempt.pk)

    async def _announce(self) -> None:
        await announce(session.pk for session in self._sessions)

    # What the screen says

    async def _tell_step(self, frame: Frame, step: Step, analysis: FrameAnalysis) -> None:
        hint: str = step.hint
        message = str(HINT_TEXTS[step.hint])
        if self._correction and frame.arrived_s < self._correction.until_s:
            hint, message = "wrong_pass", self._correction.sentence
        await self.tell_state(
            frame,
            phase=step.phase,
            hint=hint,
            message=message,
            progress=step.progress,
            asked=asked_in(step),
            face=face_as_shares(step, analysis),
        )

    # The kiosk and its sessions

    async def _replace_older_connection(self) -> None:
        group = f"kiosk.{self.kiosk.pk}"
        await self.channel_layer.group_send(group, {"type": "kiosk.replaced"})
        self._membership = Membership(self.channel_layer, group, self.channel_name)
        await self._membership.renew()

    async def kiosk_replaced(self, event: dict[str, Any]) -> None:
        """Another connection has come with this kiosk's token: only the newest is served."""
        await self.end("replaced", _("This kiosk is now open on another screen."), CLOSE_REPLACED)

    async def _keep_rechecking(self) -> None:
        while not self.closed:
            await asyncio.sleep(RECHECK_S)
            await self.try_to_recheck()
            if self._membership is not None:
                await self._membership.renew()

    async def recheck(self) -> None:
        served = await in_database(looked_after)(self.kiosk, self._token_hash, timezone.now())
        if served is None:
            await self._close_revoked()
            return
        await self._note_health()
        self._sessions, shown = served
        self._dialogue.takes_passes = takes_passes(self._sessions)
        self._dialogue.liveness = level_for(self._sessions)
        if shown != self._sessions_shown:
            self._sessions_shown = shown
            await self.tell(type="sessions", sessions=shown)

    async def _note_health(self) -> None:
        """Beside the frames, and seldom: a wall of kiosks must not write all the time."""
        now_s = time.monotonic()
        if self._noted_s is not None and now_s - self._noted_s < NOTED_EVERY.total_seconds():
            return
        self._noted_s = now_s
        await in_database(note)(self.kiosk.pk, self.meter.reading(), timezone.now())

    async def _close_revoked(self) -> None:
        await self.end(
            "kiosk_revoked",
            _("This kiosk was revoked. Ask an administrator for a new code."),
            CLOSE_FORBIDDEN,
        )


def token_of(scope: dict[str, Any]) -> str:
    """The kiosk's token, from the header (programs) or the cookie (browsers)."""
    scheme, _space, token = header(scope, b"authorization").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return parse_cookie(header(scope, b"cookie")).get(KIOSK_COOKIE, "")
