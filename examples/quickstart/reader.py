"""Follows the orders. The rows are kept in a file, so the next start shows them at once and receives what it missed.

usage: reader.py [URL]
"""
import asyncio
import sys

from stele_client import Client


async def main():
    async with Client(sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8877", "reader.sqlite") as client:
        orders = client.view("Order/list", where={"field": "total", "gte": 10}, sort=[{"by": "total", "order": "desc"}])
        await orders.live()
        for row in orders.rows:
            print(row.key, row.data["customer"], row.data["total"])


asyncio.run(main())
