"""A connection's place in a group of the channel layer, for as long as the connection lasts."""

from __future__ import annotations

import time

from channels.layers import BaseChannelLayer

#: Redis forgets groups when it is started again, and each member after a day.
RENEWED_EVERY_S = 30.0


class Membership:
    """Renewed from time to time, so that who was forgotten hears again."""

    def __init__(self, layer: BaseChannelLayer, group: str, channel: str) -> None:
        self._layer, self.group, self._channel = layer, group, channel
        self._renewed_s = -RENEWED_EVERY_S

    async def renew(self) -> None:
        """Join, unless that was done a moment ago."""
        now_s = time.monotonic()
        if now_s - self._renewed_s >= RENEWED_EVERY_S:
            await self._layer.group_add(self.group, self._channel)
            self._renewed_s = now_s

    async def end(self) -> None:
        await self._layer.group_discard(self.group, self._channel)
