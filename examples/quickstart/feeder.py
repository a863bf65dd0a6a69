"""Feeds orders, each batch exactly once: also if this program, the connection or the server breaks off in the middle.

usage: feeder.py [URL]
"""
import sys

from stele_client import SyncClient

ORDERS = [("1", "Ada", 12.5), ("2", "Grace", 99), ("3", "Edsger", 7)]

with SyncClient(sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8877", "feeder.sqlite") as client:
    for key, customer, total in ORDERS:
        # On this disk when it returns, and sent until the server has it on its own.
        client.apply_and_wait([{"export": "Order", "key": key, "patch": {"customer": customer, "total": total}}])
    print("fed", len(ORDERS))
