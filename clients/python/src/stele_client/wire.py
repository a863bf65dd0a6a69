"""Version 2 of the protocol: messages out, frames in. No socket, no state."""

from __future__ import annotations

import json
import zlib
from typing import Any, List, Mapping, Optional, Tuple, Union

from .errors import ProtocolError, SteleError
from .types import Json

MOST_BYTES = 64 * 1024 * 1024
"""A message, also when it is inflated."""

QUERY = ("view", "key", "filters", "where", "sort", "take", "skip")
REFUSED_CURSOR = ("invalid-cursor", "cursor-epoch-changed", "cursor-expired", "cursor-unknown", "subscription-rescoped")


def text_of(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def canonical(query: Mapping[str, Any]) -> str:
    """One text for one query: what is kept of a view is found by it."""
    return json.dumps({name: query[name] for name in QUERY if query.get(name) is not None}, sort_keys=True)


def subscribe(id_: str, query: Mapping[str, Any], after: Optional[str], epoch: Optional[str]) -> str:
    asked = {name: query[name] for name in QUERY if query.get(name) is not None}
    if after is not None:
        asked["after"] = after
        if epoch is not None:
            asked["epoch"] = epoch
    return text_of({"type": "subscribe", "protocolVersion": 2, "subscriptionId": id_, "query": asked})


def unsubscribe(id_: str) -> str:
    return text_of({"type": "unsubscribe", "protocolVersion": 2, "subscriptionId": id_})


def refresh(token: str) -> str:
    return text_of({"type": "refresh_auth", "token": token})


def inflate(data: bytes, most: int = MOST_BYTES) -> bytes:
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
    out = decoder.decompress(data, most)
    if decoder.unconsumed_tail or not decoder.eof:
        raise ProtocolError(f"a compressed message is broken, or has more than {most} bytes")
    return out


def decode(message: Union[str, bytes]) -> Json:
    """A message of the server, an object."""
    try:
        if isinstance(message, bytes) and message[:2] == b"\x1f\x8b":
            message = inflate(message)
        frame = json.loads(message)
    except (ValueError, RecursionError, zlib.error) as error:
        raise ProtocolError(f"a message of the server cannot be read: {error}") from error
    if not isinstance(frame, dict):
        raise ProtocolError("a message of the server is no object")
    return frame


def error_of(frame: Mapping[str, Any]) -> SteleError:
    after = frame.get("retryAfter", frame.get("retry_after"))
    return SteleError(str(frame.get("code", frame.get("error", "unknown"))), str(frame.get("message", "")),
                      bool(frame.get("retryable")), float(after) if isinstance(after, (int, float)) else None)


def version_of(data: Mapping[str, Any]) -> Optional[Tuple[str, int]]:
    epoch, _, number = str(data.get("_version", "")).rpartition(":")
    return (epoch, int(number)) if epoch and number.isdigit() else None


def is_stale(version: Optional[Tuple[str, int]], held: Optional[Tuple[str, int]]) -> bool:
    return version is not None and held is not None and version[0] == held[0] and version[1] <= held[1]


def merge(target: Mapping[str, Any], patch: Mapping[str, Any], append: List[str], above: str = "") -> Json:
    """A new object. What is not changed is shared with the old one."""
    out = dict(target)
    for name, value in patch.items():
        path = above + name
        held = out.get(name)
        if isinstance(value, dict) and isinstance(held, dict):
            out[name] = merge(held, value, append, path + ".")
        elif isinstance(value, list) and isinstance(held, list) and path in append:
            out[name] = held + value
        else:
            out[name] = value
    return out
