"""The channel layer between several hosts, which outlives an absence of Redis.

What is sent over it are words only, like "look again": check-ins are in the database by then, and
whoever should hear looks every few seconds anyhow. So a word that cannot be sent is lost, and a
connection that listens in vain goes on listening. Channels' own would end every kiosk's connection
instead, and refuse new ones, until Redis is back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from typing import Any

from channels_redis.core import RedisChannelLayer
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

#: No kiosk waits longer for somebody else to be told.
GIVE_UP_S = 2.0
LISTEN_AGAIN_S = 1.0
SAID_EVERY_S = 30.0

AWAY = (RedisError, OSError, TimeoutError)


class PatientRedisChannelLayer(RedisChannelLayer):
    _said_at_s = -SAID_EVERY_S

    async def receive(self, channel: str) -> dict[str, Any]:
        while True:
            try:
                message: dict[str, Any] = await super().receive(channel)
            except AWAY as error:
                self._say(error)
                await asyncio.sleep(LISTEN_AGAIN_S)
            else:
                return message

    async def group_add(self, group: str, channel: str) -> None:
        await self._tried(super().group_add(group, channel))

    async def group_discard(self, group: str, channel: str) -> None:
        await self._tried(super().group_discard(group, channel))

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        await self._tried(super().group_send(group, message))

    async def _tried(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(GIVE_UP_S):
                await sending
        except AWAY as error:
            self._say(error)

    def _say(self, error: Exception) -> None:
        now_s = time.monotonic()
        if now_s - self._said_at_s >= SAID_EVERY_S:
            self._said_at_s = now_s
            logger.error("Redis does not answer: %s", type(error).__name__)
