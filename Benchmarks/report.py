"""Reports the runs' results as a table on the terminal, docs/benchmarks.md and docs/benchmarks.svg."""

import dataclasses
import datetime
import html
import os
import pathlib
import platform
import re
import subprocess

NAMES = ("Aegis", "nginx", "HAProxy", "Caddy")
# The proxies that Aegis is compared with.
PEERS = ("nginx", "HAProxy")
COLOURS = {"Aegis": "#2f6fed", "nginx": "#3c9d5d", "HAProxy": "#c98a1b", "Caddy": "#8d8d93"}


@dataclasses.dataclass
class Row:
    """A scenario's line. `figure` is compared with the target: a ratio to the better peer, or a measurement of Aegis."""

    scenario: str
    unit: str
    values: dict[str, float]
    figure: float | None = None
    target: float | None = None
    # The format of the figure and its target.
    form: str = "{:.2f}"
    at_least: bool = False
    # The first and the third quartile of the rounds' figures.
    spread: tuple[float, float] | None = None

    @property
    def is_met(self):
        return None if self.target is None else (self.figure >= self.target) == self.at_least or self.figure == self.target

    @property
    def verdict(self):
        return {None: "", True: "met", False: "missed"}[self.is_met]

    def cells(self):
        sign = "≥" if self.at_least else "≤"
        target = "" if self.target is None else f"{sign} {self.form.format(self.target)}"
        figure = "" if self.figure is None else self.form.format(self.figure)
        spread = "" if self.spread is None else "–".join(self.form.format(end) for end in self.spread)
        values = (amount(self.values.get(name)) for name in NAMES)
        return [self.scenario, self.unit, *values, figure, spread, target, self.verdict]


def amount(value):
    """A number with three significant digits."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


HEADINGS = ["scenario", "unit", *NAMES, "figure", "spread", "target", ""]


def table(rows):
    lines = [HEADINGS] + [row.cells() for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]

    def text(line):
        return "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))).rstrip()

    return "\n".join(text(line) for line in lines)


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())[1]
    memory = int(re.search(r"MemTotal: +(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) >> 20
    system = re.search(r'PRETTY_NAME="(.*)"', pathlib.Path("/etc/os-release").read_text())[1]
    kernel = ".".join(platform.release().split(".")[:2])
    tls = subprocess.run(["openssl", "version"], capture_output=True, text=True).stdout.split()[:2]
    return f"{os.cpu_count()} × {cpu}, {memory} GiB, {system}, Linux {kernel}, {' '.join(tls)}"


def markdown(rows, versions, rounds, tail_rounds):
    def line(cells):
        return "| " + " | ".join(cells) + " |"

    body = "\n".join(line(row.cells()) for row in rows)
    return f"""# Benchmarks

Made by `scripts/bench` on {datetime.date.today():%d %B %Y}: {machine()}.
{', '.join(f'{name} {version}' for name, version in versions.items())}.

{line(HEADINGS)}
{line(["---"] * 2 + ["--:"] * (len(HEADINGS) - 3) + ["---"])}
{body}

![Medians beside the better of nginx's and HAProxy's](benchmarks.svg)

**Method.** Each proxy is a TLS reverse proxy with two workers. All use the same certificate (ECDSA P-256), the same ciphers and
the same upstream, an nginx that serves files over kept connections. All but Caddy issue one ticket for a connection, and none
keeps a session cache. Body buffers are 64 KiB. nginx and HAProxy are Debian's, with the same OpenSSL. CPU is the user and system
time of the proxy's own processes for a counted number of requests. It is valid although the load generator and the upstream
share the cores, as they do here. The load comes from h2load and from clients in Python; see `Benchmarks/`.

**Figures.** Traffic is measured in {rounds} rounds, and p99 in {tail_rounds}. In each round all proxies run, in a changing order.
Caddy runs only in the first 2, and is shown but not compared. The values are medians over the rounds. The peer is nginx or
HAProxy, whichever has the better median. The figure is the median, over the rounds, of Aegis' value divided by the peer's value of
the same round. The spread is the middle half of these ratios. Idle connections are opened once. Starts with very many hosts are
medians of 3 (of 9 for Aegis with 10,000 hosts), measured one proxy after the other. A peer's change is measured once. Their figures
are ratios of these values. If a row has only values of Aegis, the figure is Aegis' own value.

**Differences.** To change a certificate, the peers reload their whole configuration from its file. (HAProxy could also receive it by
its runtime API.) For Aegis, the time of a change begins with the commit to the state, without aegis-apply. Its start excludes the
time to make the state. Aegis opens each key at its start. It parses a certificate at the first handshake for it, which has a
separate row. A worker keeps 768 parsed certificates; the memory with these has separate rows. The many certificates are alike and
from one CA. This takes less memory than certificates of different CAs: for a leaf, Aegis keeps only the bytes that differ from
another leaf of the same CA.

[benchmarks-remarks.md](benchmarks-remarks.md) explains missed targets and how far the results repeat.
"""


def chart(rows):
    """A chart of each scenario's values relative to the better peer's: shorter bars are better. Rates are left out."""
    shown = [row for row in rows if all(row.values.get(name) for name in ("Aegis", *PEERS)) and "/s" not in row.unit]
    width, left, right, bar, gap = 960, 390, 130, 13, 16
    scale = (width - left - right) / 2
    parts, top = [], 46
    for row in shown:
        best = min(row.values[name] for name in PEERS)
        names = [name for name in NAMES if row.values.get(name)]
        middle = top + len(names) * bar / 2 + 4
        parts.append(f'<text x="{left - 12}" y="{middle:.0f}" text-anchor="end">{html.escape(row.scenario)}</text>')
        for name in names:
            ratio = row.values[name] / best
            length = max(min(ratio, 2) * scale, 1)
            beyond = " →" if ratio > 2 else ""
            parts.append(
                f'<rect x="{left}" y="{top}" width="{length:.1f}" height="{bar - 2}" fill="{COLOURS[name]}"/>'
                f'<text x="{left + length + 6:.1f}" y="{top + bar - 3}" class="value">'
                f'{amount(row.values[name])} {html.escape(row.unit)}{beyond}</text>')
            top += bar
        top += gap
    legend = "".join(
        f'<rect x="{left + 95 * place}" y="14" width="11" height="11" fill="{COLOURS[name]}"/>'
        f'<text x="{left + 95 * place + 16}" y="24">{name}</text>' for place, name in enumerate(NAMES))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" role="img"'
        f' aria-label="Aegis beside nginx, HAProxy and Caddy: shorter is better">'
        f'<style>text{{font:12px system-ui,sans-serif;fill:#333}}.value{{font-size:10px;fill:#666}}</style>'
        f'<rect width="{width}" height="{top}" fill="#fff"/>{legend}'
        f'<text x="{left + 410}" y="24" class="value">shorter is better</text>'
        f'<line x1="{left + scale}" y1="36" x2="{left + scale}" y2="{top - 8}" stroke="#bbb" stroke-dasharray="3 3"/>'
        f'{"".join(parts)}</svg>\n')
