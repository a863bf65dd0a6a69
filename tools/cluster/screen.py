"""What the demo shows: a table that draws itself on a terminal, else a line a second."""
import sys
import time


def utc(milliseconds):
    return time.strftime("%d %b %H:%M", time.gmtime((milliseconds or 0) / 1000))


def fit(text, width):
    return str(text)[:width].ljust(width)


class Screen:
    def __init__(self):
        self.is_terminal = sys.stdout.isatty()
        self.height = 0
        self.shown_at = 0.0

    def say(self, text):
        """A line of its own, where there is no table."""
        if not self.is_terminal:
            print(text, flush=True)

    def draw(self, demo):
        if self.is_terminal:
            self.draw_table(demo)
        elif time.monotonic() - self.shown_at >= 1:
            self.shown_at = time.monotonic()
            self.say(self.summary(demo))

    def close(self):
        if self.is_terminal:
            sys.stdout.write("\033[?25h\n")
            sys.stdout.flush()

    # ---- parts ----

    def summary(self, demo):
        nodes = " ".join(str(told["position"]) if told else "-" for told in demo.cluster.told)
        return (f"{demo.fed:5} of {len(demo.lines)} lines in {demo.last} messages; the nodes are at {nodes}; "
                f"the table is {self.verdict(demo)}")

    def verdict(self, demo):
        if demo.wrong_since is None:
            return "right"
        return f"other for {time.monotonic() - demo.wrong_since:.1f} s"

    def brokers(self, demo):
        for broker in demo.cluster.brokers:
            name = broker.name[-1]
            if not broker.is_up:
                yield f"{name} is down"
            else:
                yield f"{name} (pid {broker.pid}){' leads' if name == demo.leader else ''}"

    def nodes(self, demo):
        for node, told in zip(demo.cluster.nodes, demo.cluster.told):
            name = node.name[-1]
            if not node.is_up:
                yield f"{name} is down"
            elif not told:
                yield f"{name} starts"
            else:
                behind = told["lag_messages"]
                yield f"{name} (pid {node.pid}) at {told['position']}{f', {behind} behind' if behind else ''}"

    def rows(self, demo):
        for _, mag, place, status, when in demo.shown():
            yield f"  {mag or 0:4.1f}  {fit(place or '', 46)}  {fit(status or '', 10)}{utc(when)}"

    def draw_table(self, demo):
        lines = [
            demo.headline(),
            "",
            "brokers  " + fit(" | ".join(self.brokers(demo)), 80),
            "nodes    " + fit(" | ".join(self.nodes(demo)), 80),
            f"fed      {demo.fed} of {len(demo.lines)} lines, acknowledged in {demo.last} messages",
            f"killed   {demo.kills} times: {demo.news}",
            "",
            *self.rows(demo),
            "",
            f"The table is {self.verdict(demo)}. It was other than what was acknowledged for "
            f"{demo.longest_wrong:.1f} s at most.",
        ]
        back = f"\033[{self.height}A" if self.height else "\033[?25l"
        sys.stdout.write(back + "".join(f"\r{line}\033[K\n" for line in lines) + "\033[J")
        sys.stdout.flush()
        self.height = len(lines)
