"""What can go wrong, with the code of the server."""

from __future__ import annotations

from typing import Optional


class SteleError(Exception):
    """An error of the server, or on the way to it. docs/protocol.md, section 5, has the codes."""

    def __init__(self, code: str, message: str, retryable: bool = False, retry_after: Optional[float] = None) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after


class ProtocolError(SteleError):
    """The server said what it should not. The connection ends, and the view starts again from nothing."""

    def __init__(self, message: str) -> None:
        super().__init__("protocol-error", message, retryable=True)


class StorageError(SteleError):
    """The file with what is kept cannot be used."""

    def __init__(self, message: str) -> None:
        super().__init__("storage-error", message)


class GapError(SteleError):
    """Events of an append view are gone that were not taken: the log, or the storage, kept less."""

    def __init__(self, message: str) -> None:
        super().__init__("gap", message)
