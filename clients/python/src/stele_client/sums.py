"""The sums of rows (docs/drift.md of stele): what anybody computes who has the rows."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, Iterable, List, Mapping, Tuple

PARTS = 256
MARKS = ("_seq", "_version")
"""Members at the top of a row that say when it changed."""
WHOLE = 1 << 256

LARGEST_PLAIN, SMALLEST_PLAIN = 20, -6
"""Exponents of the numbers that JavaScript prints without one."""


def number_text(value: Any) -> str:
    """As JavaScript prints the double next to it."""
    try:
        double = float(value)
    except OverflowError:
        return "null"
    if not math.isfinite(double):
        return "null"
    if double == 0:
        return "0"
    sign = "-" if double < 0 else ""
    # repr has the fewest digits that lead back to the double, as JavaScript does.
    mantissa, _, power = f"{abs(double)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = int(power or 0) + len(whole) - 1 - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if not SMALLEST_PLAIN <= exponent <= LARGEST_PLAIN:
        point = "." if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{point}{digits[1:]}e{exponent:+d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    if exponent + 1 >= len(digits):
        return sign + digits + "0" * (exponent + 1 - len(digits))
    return f"{sign}{digits[:exponent + 1]}.{digits[exponent + 1:]}"


def text_of(value: Any) -> str:
    """As RFC 8785 has it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return number_text(value)
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
    return "{" + ",".join(f"{text_of(name)}:{text_of(value[name])}" for name in names) + "}"


def row_text(key: str, data: Mapping[str, Any]) -> str:
    return f"[{text_of(key)},{text_of({name: value for name, value in data.items() if name not in MARKS})}]"


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def row_sum(key: str, data: Mapping[str, Any]) -> str:
    return digest(row_text(key, data)).hex()


def part_of(key: str) -> str:
    return digest(key)[:1].hex()


class Sums:
    """Of rows in their order."""

    def __init__(self, rows: Iterable[Tuple[str, Mapping[str, Any]]]) -> None:
        total, chain = 0, bytes(32)
        parts: List[List[int]] = [[0, 0] for _ in range(PARTS)]
        self.rows = 0
        for key, data in rows:
            own, value = digest(key), int(row_sum(key, data), 16)
            chain = hashlib.sha256(chain + own).digest()
            total = (total + value) % WHOLE
            parts[own[0]][0] += 1
            parts[own[0]][1] = (parts[own[0]][1] + value) % WHOLE
            self.rows += 1
        self.sum = f"{total:064x}"
        self.order = chain.hex()
        self.parts = {f"{part:02x}": (count, f"{value:064x}") for part, (count, value) in enumerate(parts) if count}
