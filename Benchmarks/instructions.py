"""How many instructions the gateway takes for a request, counted by valgrind: times are noisy, instructions are not.

It fails when they are more than a twentieth above those on record (instructions.json), or none are on record; --record
writes these anew. They repeat within a hundredth, and from one machine to another within three.
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
# One worker: how the kernel spreads connections is left to chance.
proxies.WORKERS = 1


class Counted(Aegis):
    """A gateway under callgrind, which counts once it is told to."""

    def declare(self, folder, text, logging=False):
        command, environment = super().declare(folder, text, logging)
        callgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/counts"]
        return [*callgrind, *command], environment

    def control(self, *arguments):
        command = ["callgrind_control", *arguments, str(self.process.pid)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def instructions(self):
        """So far, of all threads but the first: that is the control side, which works by the second, not by the request."""
        counts = re.findall(r"^ *Th *(\d+) +([\d,]+)", self.control("-e"), re.MULTILINE)
        return sum(int(count.replace(",", "")) for thread, count in counts if thread != "1")


def each(gateway, *options):
    """Instructions of one request: what more of them take, so that the connections' handshakes are left out. The many are sent
    twice and the fewer instructions count, since a check of the state may fall into one of the two."""
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
        # Valgrind can't read the debug information of today's compilers, and does not need it.
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
