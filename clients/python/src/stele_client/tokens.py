"""Tokens: asked for when one is needed, and in time before the one in use runs out."""

from __future__ import annotations

import base64
import inspect
import json
import time
from typing import Optional

from .errors import SteleError
from .types import Token

EARLY = 60.0
"""A fresh token is asked for so many seconds before the end of the old one, ..."""
LATEST_PART = 0.8
"""... or when so much of its time is over, if that is later."""


def expiry(token: Optional[str]) -> Optional[float]:
    """The `exp` of a signed token: unix seconds. Whether the token is good only the server knows."""
    parts = (token or "").split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        found = claims.get("exp")
    except (ValueError, AttributeError, RecursionError):
        return None
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def seconds_left(expires_at: Optional[float]) -> Optional[float]:
    """
    How long to wait before a fresh token is asked for. None where this clock says that one is over
    which the server took just now: then the clock is wrong, and the server says when it is over.
    """
    left = -1.0 if expires_at is None else expires_at - time.time()
    return max(left - EARLY, left * LATEST_PART, 1.0) if left > 0 else None


class Tokens:
    def __init__(self, source: Token) -> None:
        self._source = source

    @property
    def may_change(self) -> bool:
        return callable(self._source)

    async def get(self) -> Optional[str]:
        source = self._source
        if not callable(source):
            return source
        try:
            found = source()
            if inspect.isawaitable(found):
                found = await found
        except Exception as error:
            raise SteleError("token-callback-failed", repr(error), retryable=True) from error
        return found
