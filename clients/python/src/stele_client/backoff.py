"""Waiting between attempts: longer each time, and never two clients in step."""

from __future__ import annotations

import asyncio
import random
from typing import Optional


class Backoff:
    def __init__(self, first: float = 0.25, most: float = 30.0) -> None:
        self.first, self.most = first, most
        self._attempts = 0
        self._now = asyncio.Event()

    def reset(self) -> None:
        self._attempts = 0

    def skip(self) -> None:
        """Who waits goes on at once."""
        self._now.set()

    async def wait(self, least: Optional[float] = None) -> None:
        """`least`: what the server asked for, as far as that is not longer than the longest wait."""
        delay: float = min(self.most, self.first * 2.0 ** min(self._attempts, 30))
        delay *= random.uniform(0.5, 1.0)
        if least is not None:
            delay = max(delay, min(least, self.most) * random.uniform(1.0, 1.2))
        self._attempts += 1
        self._now.clear()
        timer = asyncio.get_running_loop().call_later(delay, self._now.set)
        try:
            await self._now.wait()
        finally:
            timer.cancel()
