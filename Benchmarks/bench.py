"""Compares Aegis with nginx, HAProxy and Caddy: the scenarios and their targets. options.py has the options."""

import pathlib
import random
import signal
import statistics
import sys
import tempfile

import options
import report
import scale
import traffic
from proxies import (
    EVERYONE, HOST, PEERS, Aegis, Caddy, HAProxy, Nginx, Origin, Process, Wishes, client_certificate, self_signed)

# How many certificates are changed one after the other to measure the delay of a change, and its CPU time.
CHANGES = 60


def middle_half(ratios):
    """The range from the first to the third quartile of the ratios; None for a single ratio."""
    if len(ratios) < 2:
        return None
    least, _, greatest = statistics.quantiles(ratios, n=4, method="inclusive")
    return least, greatest


class Bench:
    def __init__(self, told, folder):
        self.told, self.folder = told, folder
        self.rows = []
        # `share` shortens each run, `rounds` repeats it: many short rounds, since other load of the machine comes and goes.
        self.share = 0.5 if told.quick else 1
        self.rounds = told.rounds or (2 if told.quick else 24)
        # The slowest hundredth of the answers may well be slow because of another tenant of the machine.
        self.tail_rounds = self.rounds * 3 // 2
        self.sites = {HOST: self_signed(folder)}
        self.origin = Origin(folder / "origin")
        self.rates = {}
        self.turns = random.Random(1)

    def wants(self, scenario):
        return (self.told.only or "") in scenario

    def tell(self, row):
        self.rows.append(row)
        print(report.table([row]).splitlines()[1], flush=True)

    def field(self, kind, **wishes):
        """Starts one proxy of each kind."""
        proxies = []
        for proxy in EVERYONE:
            proxies.append(proxy(self.folder / f"{kind}-{proxy.name}", self.origin, self.sites, Wishes(**wishes)))
            proxies[-1].start()
        return proxies

    def compare(self, scenario, unit, target, runs, proxies, rounds=None, needed_by=""):
        """Runs a scenario with all proxies in turn, and adds its row to the report. `runs` makes one run."""
        if not self.wants(scenario) and not self.wants(needed_by):
            return
        values = {proxy.name: [] for proxy in proxies}
        rates = {proxy.name: [] for proxy in proxies}
        for number in range(rounds or self.rounds):
            # A run of Caddy takes five times as long as another's, and Aegis is not compared with Caddy: two runs are
            # enough.
            running = [proxy for proxy in proxies if number < 2 or not isinstance(proxy, Caddy)]
            # A random order: no proxy always runs first, or always after the same other one.
            for proxy in self.turns.sample(running, len(running)):
                cost = runs.run(proxy)
                values[proxy.name].append(cost.value)
                rates[proxy.name].append(cost.rate)
        medians = {name: statistics.median(of) for name, of in values.items()}
        best = min(report.PEERS, key=medians.get)
        ratios = [ours / theirs for ours, theirs in zip(values["Aegis"], values[best])]
        self.tell(report.Row(scenario, unit, medians, statistics.median(ratios), target, spread=middle_half(ratios)))
        if None not in rates["Aegis"]:
            self.rates = {name: statistics.median(of) for name, of in rates.items()}

    def amount(self, number):
        return int(number * self.share)

    def traffic(self):
        proxies = self.field("plain")
        tail = "p99 at 60 % of the slower peer's rate"
        keep_alive = traffic.KeepAlive(self.amount(30_000))
        self.compare(
            "1 KiB, keep-alive, 64 connections", "µs CPU a request", 0.75, keep_alive, proxies, needed_by=tail)
        if self.rates:
            self.tell(report.Row("the same: rate", "requests/s", dict(self.rates)))
        if self.wants(tail):
            latency = traffic.Latency(0.6 * min(self.rates[name] for name in report.PEERS), 2)
            # The rate is more than Caddy can serve.
            bearing = [proxy for proxy in proxies if not isinstance(proxy, Caddy)]
            self.compare(tail, "µs", 1.0, latency, bearing, rounds=self.tail_rounds)
            self.tell(report.Row("the same: p50", "µs", {
                name: statistics.median(of) for name, of in latency.medians.items()}))
            self.tell(report.Row("the same: load", "requests/s", {proxy.name: latency.load for proxy in bearing}))
        for scenario, target, resuming in (
            ("full TLS 1.3 handshake + 1 request", 0.9, False), ("resumed handshake + 1 request", 0.9, True),
        ):
            runs = traffic.Handshakes(self.amount(800), resuming)
            self.compare(scenario, "µs CPU a connection", target, runs, proxies)
        for proxy in proxies:
            proxy.stop()

    def bodies(self):
        proxies = self.field("bodies", large=True)
        self.compare("bodies of 1 MiB", "ms CPU a GiB", 0.7, traffic.Bodies("/1m", 1 << 20, self.amount(500), 16), proxies)
        self.compare(
            "bodies of 100 MiB", "ms CPU a GiB", 0.7, traffic.Bodies("/100m", 100 << 20, self.amount(8), 4), proxies)
        self.compare("uploads of 1 MiB", "ms CPU a GiB", 0.8, traffic.Uploads(self.amount(400)), proxies)
        for proxy in proxies:
            proxy.stop()

    def logged(self):
        proxies = self.field("logged", logging=True)
        runs = traffic.KeepAlive(self.amount(30_000), headers=traffic.browser_headers())
        self.compare("1 KiB with 12 browser headers, access log", "µs CPU a request", 0.8, runs, proxies)
        for proxy in proxies:
            proxy.stop()

    def mutual(self):
        """Measures connections of clients that show a certificate."""
        authority, pair = client_certificate(self.folder)
        proxies = self.field("mutual", clients_ca=authority)
        for kind, resuming in ("full", False), ("resumed", True):
            runs = traffic.Handshakes(self.amount(800), resuming, pair)
            # Caddy resumes no session in which the client has shown a certificate.
            able = [proxy for proxy in proxies if not (resuming and isinstance(proxy, Caddy))]
            self.compare(
                f"{kind} handshake with a client's certificate + 1 request", "µs CPU a connection", 1.1, runs, able)
        for proxy in proxies:
            proxy.stop()
        scenario = "memory of asking for certificates, each of 10,000 hosts with the same 100 CAs"
        if self.wants(scenario):
            bundle = self.folder / "cas.pem"
            bundle.write_bytes(b"".join(
                self_signed(self.folder, f"ca{number}", f"ca{number}.example.com")[0].read_bytes() for number in range(100)))
            more = scale.memory_of_asking(
                self.folder, 10_000, self.origin, self_signed(self.folder, "all", "*.example.com"), bundle)
            self.tell(report.Row(scenario, "bytes more", {"Aegis": more}, more, 256, "{:.0f} B"))

    def http2(self):
        proxies = self.field("http2", http2=True)
        for streams, target in (16, 0.8), (1, None):
            self.compare(
                f"1 KiB over HTTP/2, 64 connections of {streams} streams", "µs CPU a request", target,
                traffic.KeepAlive(self.amount(30_000), streams=streams), proxies)
        for proxy in proxies:
            proxy.stop()
        proxies = self.field("http2-bodies", large=True, http2=True)
        self.compare(
            "bodies of 1 MiB over HTTP/2", "ms CPU a GiB", 0.9,
            traffic.Bodies("/1m", 1 << 20, self.amount(500), 16, streams=4), proxies)
        for proxy in proxies:
            proxy.stop()
        proxies = self.field("http2-idle", http2=True)
        runs = traffic.IdleMemory(5_000 if not self.told.quick else 1_250, traffic.HTTP2Connection)
        self.compare(f"idle connections of HTTP/2, {runs.connections:,}", "KiB each", 1.0, runs, proxies, rounds=1)
        for proxy in proxies:
            proxy.stop()

    def idle(self):
        # New processes: memory that earlier connections have left in the heap would hide what idle connections take.
        proxies = self.field("idle")
        runs = traffic.IdleMemory(5_000 if not self.told.quick else 1_250)
        self.compare(f"idle TLS connections, {runs.connections:,}", "KiB each", 1.0, runs, proxies, rounds=1)
        for proxy in proxies:
            proxy.stop()

    def scale(self):
        """Measures what grows with the number of hosts."""
        size = 10_000
        rounds = 1 if self.told.quick else 3
        few = scale.Crowd(self.told.states / "10000", size, self.origin)
        starts, memory, used, reloads, costs = {}, {}, {}, {}, {}
        starts["Aegis"], memory["Aegis"] = scale.started(few, 3 * rounds), scale.settled_memory(few)
        used["Aegis"] = scale.used_memory(few, size)
        ours = scale.Renewals(few, 1)
        few_change, few_longest = scale.changes(few, ours, CHANGES)
        few_cost = scale.cost_of_changes(few, ours, CHANGES)
        few.stop()
        authority = scale.OwnAuthority(self.folder / "certificates")
        sites = {scale.name(number): authority.issue(scale.name(number)) for number in range(size)}
        for peer in (Nginx, HAProxy, Caddy):
            proxy = peer(self.folder / f"many-{peer.name}", self.origin, sites)
            starts[peer.name], memory[peer.name] = scale.started(proxy, rounds), scale.settled_memory(proxy)
            used[peer.name] = scale.used_memory(proxy, size)
            if peer in PEERS:
                reloads[peer.name], costs[peer.name] = scale.reload_of_peer(proxy, authority, 1)
            proxy.stop()
        self.tell(report.Row(
            "start with 10,000 hosts to the first handshake", "ms", {name: 1e3 * of for name, of in starts.items()},
            starts["Aegis"] / min(starts[name] for name in report.PEERS), 0.05, "{:.3f}"))
        for scenario, of in ("memory with 10,000 hosts", memory), ("the same: when all were asked for", used):
            self.tell(report.Row(
                scenario, "MiB", {name: taken / 2**20 for name, taken in of.items()},
                of["Aegis"] / min(of[name] for name in report.PEERS), 0.1))
        applied = statistics.median(Aegis.apply(few.folder)[0] for _ in range(5))
        self.tell(report.Row("aegis-apply, no changes, 10,000 hosts", "s", {"Aegis": applied}, applied, 1, "{:.2f} s"))
        self.tell(report.Row(
            "one of 10,000 certificates changed, from commit to served", "ms", reloads | {"Aegis": few_change},
            few_change, 20, "{:.1f} ms"))
        self.tell(report.Row("the same: CPU", "ms CPU", costs | {"Aegis": few_cost}))
        self.tell(report.Row(f"the same: longest of {CHANGES}", "ms", {"Aegis": few_longest}))

        many = scale.Crowd(self.told.states / "100000", 10 * size, self.origin)
        start = scale.started(many, rounds)
        each = scale.settled_memory(many) / many.size / 1024
        self.tell(report.Row("start with 100,000 hosts", "ms", {"Aegis": start * 1e3}, start, 3, "{:.2f} s"))
        self.tell(report.Row("memory with 100,000 hosts", "KiB a host", {"Aegis": each}, each, 1.5, "{:.2f} KiB"))
        added = scale.first_handshakes(many, 200)
        each = scale.used_memory(many, size) / many.size / 1024
        self.tell(report.Row(
            "the same: when 10,000 were asked for", "KiB a host", {"Aegis": each}, each, 1.5, "{:.2f} KiB"))
        self.tell(report.Row(
            "first handshake of a host among 100,000", "ms more", {"Aegis": added}, added, 1, "{:.2f} ms"))
        ours = scale.Renewals(many, 1)
        change, longest = scale.changes(many, ours, CHANGES)
        cost = scale.cost_of_changes(many, ours, CHANGES)
        self.tell(report.Row(
            "one of 100,000 certificates changed, from commit to served", "ms", {"Aegis": change}, change, 20, "{:.1f} ms"))
        self.tell(report.Row(f"the same: longest of {CHANGES}", "ms", {"Aegis": longest}))
        self.tell(report.Row(
            "CPU of one change among 100,000, beside 10,000", "ms CPU", {"Aegis": cost}, cost / few_cost, 2))
        ratios = scale.throughput_while_changing(many, ours, self.rounds, self.amount(60_000))
        kept = statistics.median(ratios)
        self.tell(report.Row(
            "rate while one of 100,000 changes each second", "of undisturbed", {"Aegis": kept}, kept, 0.97, at_least=True,
            spread=middle_half(ratios)))
        many.stop()

    def run(self):
        print(report.table([]))
        for part in self.told.part:
            getattr(self, part)()
        self.origin.stop()


def main():
    told = options.parse()
    Aegis.programs, Caddy.program = told.programs.resolve(), str(told.caddy.resolve())
    told.states = told.states.resolve()
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as folder:
        bench = Bench(told, pathlib.Path(folder))
        # After a signal too, and when the terminal is closed, the proxies are stopped.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: sys.exit(f"ended by {signal.Signals(number).name}"))
        try:
            bench.run()
        finally:
            Process.stop_all()
    if not bench.rows:
        sys.exit(f"no scenario has '{told.only}' in its name")
    print()
    print(report.table(bench.rows))
    missed = [row.scenario for row in bench.rows if row.is_met is False]
    print(f"\nmissed: {', '.join(missed)}" if missed else "\nall targets are met")
    if told.write:
        versions = {proxy.name: proxy.version() for proxy in EVERYONE}
        (told.write / "benchmarks.md").write_text(report.markdown(bench.rows, versions, bench.rounds, bench.tail_rounds))
        (told.write / "benchmarks.svg").write_text(report.chart(bench.rows))


main()
