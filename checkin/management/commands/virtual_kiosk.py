from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from websockets.exceptions import ConnectionClosed

from checkin.virtual_kiosk import as_jpeg, play
from recognition.engine.images import decode_photo
from recognition.engine.models import load_models
from recognition.engine.synthesis import blinking_clip
from recognition.engine.types import EngineError

FPS = 15


class Command(BaseCommand):
    help = (
        "Play a portrait, made to blink, through a kiosk's websocket and print each state until "
        "the verdict. For trying out a server without a camera: it is an attack by replay, which "
        "the first level of liveness cannot tell from a person."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("portrait", type=Path, help="a picture of one face")
        parser.add_argument("--token", required=True, help="the kiosk's token")
        parser.add_argument("--url", default="ws://127.0.0.1:8000/ws/kiosk/")
        parser.add_argument("--timeout", type=float, default=60, help="seconds (default 60)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            clip = blinking_portrait(options["portrait"].read_bytes())
        except (OSError, EngineError) as error:
            raise CommandError(f"{options['portrait']}: {error}") from error
        try:
            asyncio.run(
                asyncio.wait_for(
                    self._run(options["url"], options["token"], clip), options["timeout"]
                )
            )
        except TimeoutError:
            raise CommandError(f"no verdict came within {options['timeout']:g} s") from None
        except (OSError, ConnectionClosed) as error:
            raise CommandError(f"the connection to {options['url']} ended: {error}") from error

    async def _run(self, url: str, token: str, clip: list[bytes]) -> None:
        last = ""
        async for message in play(url=url, token=token, clip=clip, fps=FPS):
            line = told(message)
            if line and line != last:
                self.stdout.write(f"  {line}")
                self.stdout.flush()
            last = line or last
            if message["type"] == "verdict":
                return


def blinking_portrait(content: bytes) -> list[bytes]:
    """A clip of JPEG frames, `FPS` a second, of the face in this picture blinking."""
    from django.conf import settings

    from recognition.engine.analysis import Analyser

    models = load_models(settings.RECOGNITION_MODEL, model_cache_dir=settings.MODEL_CACHE_DIR)
    portrait = decode_photo(content)
    face = Analyser(models).analyse_photo(portrait).main_face
    if face is None:
        raise EngineError("no_face", "no face was found: choose a portrait of one person")
    frames = blinking_clip(
        portrait, landmarks=face.landmarks, fps=FPS, seconds=4, blinks_at=(1.0, 3.0)
    )
    return [as_jpeg(frame) for frame in frames]


def told(message: dict[str, Any]) -> str:
    """One line for a person, or nothing for what need not be told."""
    match message["type"]:
        case "sessions":
            codes = ", ".join(session["code"] for session in message["sessions"])
            return f"sessions   {codes or 'none is open'}"
        case "state":
            return f"{message['phase']:<10} {message['message']} ({message['progress']:.0%})"
        case "verdict":
            who = f"{message['name']} at {message['time']}" if message["name"] else ""
            return f"verdict    {message['outcome']}: {who or message['message']}"
        case "error":
            return f"error      {message['code']}: {message['message']}"
        case _:
            return ""
