"""What each flood costs an honest client: the times of its answers at rest and in the flood, pooled over several runs of the
tests of floods. A single run has too few answers in a short flood for a p99. Run it on a machine that does nothing else, as
a user who may use the scheduler's real-time class without a bound (sysctl kernel.sched_rt_runtime_us=-1): the gateway and the
honest client then run ahead of the flood's other end."""

import argparse
import collections
import contextlib
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESTS = ["hostile_clients", "hostile_frames", "hostile_records", "slow_phases"]
RATIO = 2  # the greatest ratio allowed of the p99 in a flood to that at rest
CHANCE = 0.01  # a result that is more likely than this by chance is not reported
SPIN = "import os; os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nwhile True: pass"


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", type=pathlib.Path, help="the folder of a release build")
    parser.add_argument("--runs", type=int, default=10, help="how often each flood runs (%(default)s)")
    parser.add_argument("--only", metavar="WORDS", help="only the tests that pytest's -k chooses by this")
    return parser.parse_args()


def run(programs, times, only):
    """Runs the tests of all floods once. They check memory and descriptors as in any other run."""
    return subprocess.run(
        [ROOT / ".build/test-venv/bin/pytest", "-q", "-p", "no:cacheprovider", "--timeout", "300",
         *(["-k", only] if only else []), *(f"Tests/GatewayTests/test_{name}.py" for name in TESTS)],
        cwd=ROOT, env=os.environ | {"AEGIS_PROGRAMS": str(programs.resolve()), "AEGIS_FLOOD_TIMES": str(times)},
        stdout=subprocess.PIPE, text=True)


@contextlib.contextmanager
def wakefulness():
    """Keeps each core busy with a process of the lowest priority: waking a sleeping core takes longer than an answer."""
    spinners = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(os.cpu_count())]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def pooled(times):
    floods = collections.defaultdict(lambda: ([], []))
    for line in times.read_text().splitlines():
        what, *parts = json.loads(line)
        for pool, part in zip(floods[what], parts):
            pool += part
    return floods


def quantile(times, share):
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] if times else float("nan")


def chance(rest, flood):
    """The probability that so many slow answers, or more, occur in a flood that does not slow answers by more than RATIO.
    Beyond the p99 lies one answer in a hundred anyway."""
    bound = RATIO * quantile(rest, 0.99)
    slow = sum(time > bound for time in flood)
    # The binomial distribution, computed by logarithms since its factors overflow.
    term = lambda n, k: math.exp(
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(0.01) + (n - k) * math.log(0.99))
    return max(0.0, 1 - sum(term(len(flood), count) for count in range(slow)))


def print_table(floods):
    print(f"{'p50':>13} {'p99':>15} {'p99.9':>15}   {'answers':>14}  flood")
    for what, (rest, flood) in floods.items():
        quantiles = "  ".join(
            f"{quantile(rest, share):5.2f} → {quantile(flood, share):5.2f}" for share in (0.5, 0.99, 0.999))
        mark = "*" if chance(rest, flood) < CHANCE else " "
        print(f"{quantiles} {mark} {len(rest):6} → {len(flood):6}  {what}")


def main():
    told = parse()
    with tempfile.TemporaryDirectory() as folder, wakefulness():
        times = pathlib.Path(folder) / "times"
        for number in range(told.runs):
            ended = run(told.programs, times, told.only)
            print(f"run {number + 1} of {told.runs}: {ended.stdout.splitlines()[-1]}", file=sys.stderr)
            if ended.returncode != 0:
                sys.exit(ended.stdout)
        floods = pooled(times)
    print(
        "milliseconds, at rest → in the flood; * marks floods with more answers beyond twice the p99 at rest than chance explains"
        f" ({CHANCE:.0%} of all floods are marked by chance)")
    print_table(floods | {"all together": [sum(parts, []) for parts in zip(*floods.values())]})


main()
