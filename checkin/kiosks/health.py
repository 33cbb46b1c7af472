"""How a kiosk is: measured where its frames pass, written by the half minute, told in a word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, TextChoices
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from checkin.models import Kiosk
from recognition.engine.thresholds import PHOTO_QUALITY

#: How often a kiosk's row is written at most.
NOTED_EVERY = timedelta(seconds=30)
#: Its row is that old when a connected kiosk is a little late, and no older.
SILENT_AFTER = timedelta(seconds=90)
#: Slower than this, blinks are missed.
SLOW_FRAMES_PER_S = 4
#: Frames further apart than this had a pause between them, with a verdict or without a session.
PAUSE_S = 2.0
#: The weight of the newest face in the mean of the light.
NEWEST_SHARE = 0.1

#: What the page says of its camera, see `attendance_site/static/rollcall/camera.js`.
CAMERA_STATES = frozenset(
    {"off", "starting", "ready", "denied", "missing", "busy", "lost", "insecure", "unsupported"}
)
CAMERA_PROBLEMS = CAMERA_STATES - {"off", "starting", "ready"}
_VERSION = re.compile(r"[\w.+-]{1,32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Device:
    """What a kiosk says of itself."""

    camera: str
    version: str


def device_in(message: object) -> Device | None:
    """What a message of the kiosk says of the device, if that is what it is and if it is sound."""
    if not isinstance(message, dict) or set(message) != {"type", "camera", "version"}:
        return None
    camera, version = message["camera"], message["version"]
    if message["type"] != "device" or not isinstance(camera, str) or not isinstance(version, str):
        return None
    if camera not in CAMERA_STATES or not _VERSION.fullmatch(version):
        return None
    return Device(camera=camera, version=version)


@dataclass(frozen=True, slots=True)
class Reading:
    """What is written of a kiosk. None where nothing was measured."""

    frames_per_s: float | None = None
    frame_age_ms: int | None = None
    brightness: float | None = None
    error: str = ""
    device: Device | None = None


class HealthMeter:
    """Counts what passes on one connection since the last reading. No clock, no database."""

    def __init__(self) -> None:
        self.device: Device | None = None
        self._last_s: float | None = None
        self._frames = self._gaps = 0
        self._age_s = self._gaps_s = 0.0
        self._brightness: float | None = None
        self._error = ""

    def answered(self, *, age_s: float, now_s: float) -> None:
        self._frames += 1
        self._age_s += age_s
        if self._last_s is not None and now_s - self._last_s <= PAUSE_S:
            self._gaps += 1
            self._gaps_s += now_s - self._last_s
        self._last_s = now_s

    def saw_face(self, brightness: float) -> None:
        before = self._brightness
        self._brightness = (
            brightness if before is None else before + NEWEST_SHARE * (brightness - before)
        )

    def failed(self, code: str) -> None:
        self._error = code

    def reading(self) -> Reading:
        """What was measured since the last reading; counting begins anew.

        >>> meter = HealthMeter()
        >>> for number in range(80):
        ...     meter.answered(age_s=0.02, now_s=number / 8)
        >>> meter.reading().frames_per_s, meter.reading().frames_per_s
        (8.0, None)
        """
        found = Reading(
            # Without a session there are no frames, which says nothing of the kiosk.
            frames_per_s=self._gaps / self._gaps_s if self._gaps_s > 0 else None,
            frame_age_ms=round(1000 * self._age_s / self._frames) if self._frames else None,
            brightness=self._brightness,
            error=self._error,
            device=self.device,
        )
        self._frames = self._gaps = 0
        self._age_s = self._gaps_s = 0.0
        self._brightness, self._error = None, ""
        return found


def note(kiosk_pk: int, reading: Reading, at: datetime) -> bool:
    """Write that the kiosk is there and how it is; False if its row is younger than that."""
    written: dict[str, object] = {
        "last_seen_at": at,
        "frames_per_s": reading.frames_per_s,
        "frame_age_ms": reading.frame_age_ms,
        "brightness": reading.brightness,
    }
    if reading.device is not None:
        written |= {"camera": reading.device.camera, "app_version": reading.device.version}
    if reading.error:
        written |= {"last_error": reading.error[:32], "last_error_at": at}
    not_lately = Q(last_seen_at=None) | Q(last_seen_at__lte=at - NOTED_EVERY)
    return bool(Kiosk.objects.filter(not_lately, pk=kiosk_pk).update(**written))


# In a word


class Standing(TextChoices):
    """What the desk says of a kiosk. Every one has an icon of the same tone beside its word."""

    REVOKED = "revoked", _("Shut out")
    UNPAIRED = "unpaired", _("Not paired yet")
    NEVER = "never", _("Never seen")
    SILENT = "silent", _("Silent")
    CAMERA = "camera", _("Online, no camera")
    DARK = "dark", _("Online, too dark")
    BRIGHT = "bright", _("Online, too bright")
    SLOW = "slow", _("Online, slow")
    ONLINE = "online", _("Online")


#: The symbol of `rollcall/icons.svg` and its tone.
ICONS: dict[Standing, tuple[str, str]] = {
    Standing.REVOKED: ("lock", "quiet"),
    Standing.UNPAIRED: ("connecting", "quiet"),
    Standing.NEVER: ("offline", "notice"),
    Standing.SILENT: ("offline", "bad"),
    Standing.CAMERA: ("camera-off", "bad"),
    Standing.DARK: ("hint-light", "notice"),
    Standing.BRIGHT: ("hint-shade", "notice"),
    Standing.SLOW: ("late", "notice"),
    Standing.ONLINE: ("good", "good"),
}

#: What is to be done where the camera gives no picture.
CAMERA_ADVICE: dict[str, str | Promise] = {
    "denied": _("The browser does not allow the camera: allow it for this site."),
    "missing": _("No camera was found: connect it, or open its shutter."),
    "busy": _("Another program uses the camera: close it."),
    "lost": _("The camera stopped: look whether it is plugged in."),
    "insecure": _("The page was not opened over https: browsers give no camera there."),
    "unsupported": _("This browser gives no camera: use a current one."),
}


STANDING_ADVICE: dict[Standing, str | Promise] = {
    Standing.DARK: _("Faces are dark: switch a light on, in front of people."),
    Standing.BRIGHT: _("Faces are too bright: turn the screen away from the sun."),
    Standing.SLOW: _("Few pictures arrive: look at the network and at the load of the server."),
}


def advice_for(kiosk: Kiosk, standing: Standing) -> str:
    """What is to be done about it; empty where nothing is."""
    if standing is Standing.CAMERA:
        return str(CAMERA_ADVICE[kiosk.camera])
    return str(STANDING_ADVICE.get(standing, ""))


def standing_of(kiosk: Kiosk, *, at: datetime) -> Standing:
    """How a kiosk is, the worst first."""
    if kiosk.revoked_at is not None:
        return Standing.REVOKED
    if kiosk.last_seen_at is None:
        return Standing.NEVER if kiosk.token_hash else Standing.UNPAIRED
    if kiosk.last_seen_at <= at - SILENT_AFTER:
        return Standing.SILENT
    if kiosk.camera in CAMERA_PROBLEMS:
        return Standing.CAMERA
    # As for photos: the kiosk still takes faces that are a little darker or brighter.
    if kiosk.brightness is not None and kiosk.brightness < PHOTO_QUALITY.min_brightness:
        return Standing.DARK
    if kiosk.brightness is not None and kiosk.brightness > PHOTO_QUALITY.max_brightness:
        return Standing.BRIGHT
    if kiosk.frames_per_s is not None and kiosk.frames_per_s < SLOW_FRAMES_PER_S:
        return Standing.SLOW
    return Standing.ONLINE


def is_outdated(kiosk: Kiosk) -> bool:
    """Whether its page was loaded from an earlier version of the software than this."""
    return bool(kiosk.app_version) and kiosk.app_version != settings.APP_VERSION
