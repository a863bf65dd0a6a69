"""
A client of stele. It follows views and keeps them over restarts, and feeds exactly once.

    async with Client("ws://127.0.0.1:8877", "quakes.sqlite") as client:
        view = await client.view("Quake/list", where={"field": "mag", "gte": 5}).ready()
        for row in view.rows:
            print(row.key, row.data["mag"])
"""

from .connection import Client
from .errors import GapError, ProtocolError, SteleError, StorageError
from .feed import Batch
from .sync import SyncClient, SyncView
from .types import Applied, Change, CheckResult, DifferentKey, Event, Mutation, Page, Row, SortKey
from .view import View

__all__ = [
    "Applied", "Batch", "Change", "CheckResult", "Client", "DifferentKey", "Event", "GapError", "Mutation", "Page",
    "ProtocolError", "Row", "SortKey", "SteleError", "StorageError", "SyncClient", "SyncView", "View",
]
