"""The WebSocket of the library `websockets`, whose two interfaces (before 13, and since) differ in names."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Dict, Optional

import websockets.exceptions

from .errors import SteleError
from .wire import MOST_BYTES

try:
    from websockets.asyncio.client import connect as _connect

    _HEADERS = "additional_headers"
except ImportError:  # before 13
    from websockets.legacy.client import connect as _connect  # type: ignore[assignment]

    _HEADERS = "extra_headers"

Closed = websockets.exceptions.ConnectionClosed


async def connect(url: str, token: Optional[str], tls: Optional[ssl.SSLContext], timeout: float) -> Any:
    """An open connection. A refusal is a SteleError with the code of the server."""
    options: Dict[str, Any] = {
        "max_size": MOST_BYTES, "compression": None, "open_timeout": timeout, "close_timeout": 2.0,
        "ping_interval": 20.0, "ping_timeout": 20.0}
    if token:
        options[_HEADERS] = {"Authorization": f"Bearer {token}"}
    if tls is not None:
        options["ssl"] = tls
    try:
        return await _connect(url, **options)
    except websockets.exceptions.InvalidHandshake as error:
        raise _refusal(error) from error
    except (OSError, EOFError, asyncio.TimeoutError, websockets.exceptions.WebSocketException) as error:
        raise SteleError("network-error", f"{url}: {error!r}", retryable=True) from error


def _refusal(error: Exception) -> SteleError:
    answer = getattr(error, "response", error)
    status, headers = getattr(answer, "status_code", None), getattr(answer, "headers", None)
    if not isinstance(status, int) or headers is None:
        return SteleError("network-error", str(error), retryable=True)
    after = headers.get("Retry-After", "")
    return SteleError(headers.get("X-Error-Code") or f"http-{status}", f"the handshake was refused with {status}",
                      retryable=True, retry_after=float(after) if after.isdigit() else None)


def reason_of(error: Exception) -> SteleError:
    """Why a connection ended. The reason of a close by the server is "<code>: <message>"."""
    frame = getattr(error, "rcvd", None)
    text = frame.reason if frame is not None else ""
    code, colon, message = text.partition(": ")
    if colon and " " not in code:
        return SteleError(code, message, retryable=True)
    return SteleError("connection-lost", text or str(error), retryable=True)
