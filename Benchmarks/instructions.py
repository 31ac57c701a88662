"""Counts, by valgrind, how many instructions the gateway executes for a request: times vary from run to run, instructions
hardly do. It fails when a count is more than a twentieth above the one in instructions.json, or when that file has none;
--record writes the counts there. Counts repeat within 1%, and within 3% from one machine to another.

usage: instructions.py PROGRAMS [--record]
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import proxies
import traffic
from proxies import HOST, Aegis, Origin

RECORD = pathlib.Path(__file__).with_suffix(".json")
TOLERANCE = 0.05
REQUESTS, CONNECTIONS = 1_000, 8
# One worker: how the kernel spreads connections over workers is random.
proxies.WORKERS = 1


class Counted(Aegis):
    """A gateway under callgrind, which begins to count when callgrind_control says so."""

    def declare(self, folder, text, logging=False):
        command, environment = super().declare(folder, text, logging)
        callgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/counts"]
        return [*callgrind, *command], environment

    def control(self, *arguments):
        command = ["callgrind_control", *arguments, str(self.process.pid)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def instructions(self):
        """The instructions counted so far of all threads but the first: the first is the control side, whose work depends
        on time, not on requests."""
        counts = re.findall(r"^ *Th *(\d+) +([\d,]+)", self.control("-e"), re.MULTILINE)
        return sum(int(count.replace(",", "")) for thread, count in counts if thread != "1")


def each(gateway, *options):
    """The instructions of one request: the difference between a long and a short run, so that handshakes don't count.
    The long run is made twice, and the smaller count is used, since a check of the state may fall into one of them."""
    traffic.h2load(gateway, "/1k", REQUESTS, CONNECTIONS, *options)
    gateway.control("-i", "on")
    counts = [gateway.instructions()]
    for requests in (REQUESTS, 3 * REQUESTS, 3 * REQUESTS):
        traffic.h2load(gateway, "/1k", requests, CONNECTIONS, *options)
        counts.append(gateway.instructions())
    few, *many = (after - before for before, after in zip(counts, counts[1:]))
    return (min(many) - few) // (2 * REQUESTS)


def measured(programs):
    with tempfile.TemporaryDirectory(prefix="aegis-instructions-") as name:
        folder = pathlib.Path(name)
        Aegis.programs = folder / "programs"
        Aegis.programs.mkdir()
        # Valgrind can't read the debug information that today's compilers write, and does not need it.
        for program in ("aegis-apply", "aegis-gateway"):
            subprocess.run(["strip", "--strip-debug", "-o", Aegis.programs / program, programs / program], check=True)
        sites = {HOST: proxies.self_signed(folder)}
        try:
            origin = Origin(folder / "origin")
            for scenario, logging, options in (
                ("1 KiB, keep-alive", False, ()),
                ("1 KiB with 12 browser headers, access log", True, traffic.browser_headers()),
            ):
                gateway = Counted(folder / str(logging), origin, sites, proxies.Wishes(logging=logging))
                gateway.start()
                yield scenario, each(gateway, *options)
                gateway.stop()
        finally:
            proxies.Process.stop_all()


def main():
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    failed, found = False, {}
    for scenario, count in measured(pathlib.Path(sys.argv[1]).resolve()):
        found[scenario] = count
        known = record.get(scenario)
        verdict = "none on record" if known is None else f"{count / known:.2f} of the {known:,} on record"
        print(f"{scenario}: {count:,} instructions a request ({verdict})", flush=True)
        failed |= known is None or count > known * (1 + TOLERANCE)
        if known is not None and count < known * (1 - TOLERANCE):
            print("fewer than on record: record anew, so that they stay few")
    if "--record" in sys.argv:
        RECORD.write_text(json.dumps(found, indent=4) + "\n")
    elif failed:
        sys.exit("more than a twentieth above the record, or none: find out why, or record anew and say why in the commit")


main()
