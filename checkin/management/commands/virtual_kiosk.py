from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from websockets.exceptions import ConnectionClosed

from checkin.virtual_kiosk import Performer, play
from recognition.engine.images import decode_photo
from recognition.engine.models import load_models
from recognition.engine.types import EngineError, Image, Points

FPS = 15


class Command(BaseCommand):
    help = (
        "Show a portrait that does what the screen asks for to a kiosk's websocket, and print "
        "each state until the verdict. For trying out a server without a camera: it is an attack "
        "by a face that a program moves. With --pass, the picture of a pass is held up where it "
        "is asked for."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("portrait", type=Path, help="a picture of one face")
        parser.add_argument("--pass", type=Path, dest="card", help="the picture of a pass")
        parser.add_argument("--token", required=True, help="the kiosk's token")
        parser.add_argument("--url", default="ws://127.0.0.1:8000/ws/kiosk/")
        parser.add_argument("--timeout", type=float, default=60, help="seconds (default 60)")

    def handle(self, *args: Any, **options: Any) -> None:
        path = options["portrait"]
        try:
            portrait, landmarks = face_in(path.read_bytes())
            path = options.get("card")
            cards = [square(decode_photo(path.read_bytes()))] if path else []
        except (OSError, EngineError) as error:
            raise CommandError(f"{path}: {error}") from error
        performer = Performer(portrait, landmarks=landmarks, cards=cards)
        try:
            asyncio.run(
                asyncio.wait_for(
                    self._run(options["url"], options["token"], performer), options["timeout"]
                )
            )
        except TimeoutError:
            raise CommandError(f"no verdict came within {options['timeout']:g} s") from None
        except (OSError, ConnectionClosed) as error:
            raise CommandError(f"the connection to {options['url']} ended: {error}") from error

    async def _run(self, url: str, token: str, performer: Performer) -> None:
        last = None
        async for message in play(url=url, token=token, camera=performer, fps=FPS):
            line, sentence = told(message), (message.get("phase"), message.get("message"))
            if line and sentence != last:
                self.stdout.write(f"  {line}")
                self.stdout.flush()
                last = sentence
            if message["type"] == "verdict":
                return


def face_in(content: bytes) -> tuple[Image, Points]:
    """The picture in this file and the landmarks of its face.

    Raises:
        EngineError: it is no picture, or shows no face.
    """
    from django.conf import settings

    from recognition.engine.analysis import Analyser
    from recognition.workers import model_choice

    models = load_models(model_choice(), model_cache_dir=settings.MODEL_CACHE_DIR)
    portrait = decode_photo(content)
    face = Analyser(models).analyse_photo(portrait).main_face
    if face is None:
        raise EngineError("no_face", "no face was found: choose a portrait of one person")
    return portrait, face.landmarks


def square(picture: Image) -> Image:
    """The middle of a picture: a card is held up as a square."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


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
