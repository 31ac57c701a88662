"""Measures how validate and plan grow with the number of hosts: whole processes, medians, ratios within one run.

usage: plan_scale.py PROGRAM [ROUNDS]
"""

import os
import statistics
import sys
import tempfile
import time

SIZES = (10_000, 100_000)
# What the project promises: seconds and MB at the first size, and how many times longer the second size may take.
MAX_SECONDS, MAX_MEGABYTES, MAX_RATIO = 0.5, 150, 12


def configuration(hosts):
    """A configuration with about 200 bytes for each host, written as operators write it."""
    yield "version: 1\nissuers:\n  letsencrypt:\n    type: acme\n    directory: https://ca.example.com/directory\nhosts:\n"
    for number in range(hosts):
        yield (
            f"  - domain: host-{number}.example.com\n"
            f"    aliases: [www.host-{number}.example.com]\n"
            f'    upstreams: ["http://127.0.0.1:{3000 + number % 1000}"]\n'
            "    ssl_mode: letsencrypt\n    force_https: true\n"
            "    hsts: { enabled: true, max_age: 31536000 }\n"
        )


def run(command):
    """Runs a command: elapsed seconds, seconds of CPU and peak megabytes."""
    with open(os.devnull, "wb") as sink:
        start = time.monotonic()
        process = os.posix_spawn(
            command[0], command, os.environ | {"AEGIS_SSL_KEY": "0123456789abcdef" * 4},
            file_actions=[(os.POSIX_SPAWN_DUP2, sink.fileno(), 1)],
        )
        _, status, usage = os.wait4(process, 0)
        wall = time.monotonic() - start
    assert os.waitstatus_to_exitcode(status) == 0, command
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    program = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    commands = {"validate": ["validate"], "validate + plan": ["--dry-run"], "plan as JSON": ["--dry-run", "--format", "json"]}
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            with open(f"{folder}/{size}.yaml", "w") as file:
                file.writelines(configuration(size))
            print(f"{size:,} hosts: {os.path.getsize(file.name) / 1e6:.1f} MB of YAML")
        # Commands and sizes alternate, so that a minute of other load does not affect one of them alone.
        for _ in range(rounds):
            for name, arguments in commands.items():
                for size in SIZES:
                    outcome = run([program, *arguments, f"{folder}/{size}.yaml"])
                    results.setdefault((name, size), []).append(outcome)
    missed = False
    print(f"\n{'':18}{'hosts':>9}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}{'ratio':>8}")
    for name in commands:
        for size in SIZES:
            wall, cpu, memory = (statistics.median(column) for column in zip(*results[name, size]))
            base = statistics.median(row[1] for row in results[name, SIZES[0]])
            ratio = f"{cpu / base:8.1f}" if size != SIZES[0] else ""
            print(f"{name:18}{size:>9,}{wall:>9.2f}{cpu:>9.2f}{memory:>9.0f}{ratio}")
            factor = 1 if size == SIZES[0] else MAX_RATIO
            if name == "validate + plan":
                missed |= cpu > MAX_SECONDS * factor or memory > MAX_MEGABYTES * factor
    verdict = "missed" if missed else "met"
    print(
        f"\ntargets {verdict} for validate + plan: {SIZES[0]:,} hosts in {MAX_SECONDS} s of CPU and {MAX_MEGABYTES} MB; "
        f"{SIZES[1]:,} at most {MAX_RATIO} times that"
    )


main()
