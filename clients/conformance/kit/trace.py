"""What was said, for whoever looks at a failure."""

import sys
import time
from collections import deque


class Trace:
    def __init__(self, aloud=False, keep=80):
        self.aloud = aloud
        self.lines = deque(maxlen=keep)
        self.began = time.monotonic()

    def __call__(self, who, text):
        line = f"  {time.monotonic() - self.began:7.3f} {who} {text if len(text) < 600 else text[:600] + '…'}"
        self.lines.append(line)
        if self.aloud:
            print(line, file=sys.stderr, flush=True)

    def print(self):
        if not self.aloud:
            print("\n".join(self.lines), flush=True)
