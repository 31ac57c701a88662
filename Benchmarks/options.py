"""The options of scripts/bench. Run as a program, this file checks them before anything is installed or built."""

import argparse
import pathlib

PARTS = ("traffic", "http2", "mutual", "bodies", "logged", "idle", "scale")


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", allow_abbrev=False,
        description="Measures Aegis beside nginx, HAProxy and Caddy, and prints a table.",
        epilog="Without options everything is measured, which takes twenty minutes (the first time ten more), and"
               " docs/benchmarks.md and its chart are written. It leaves with 0 whether targets are met or missed.")
    parser.add_argument("--quick", action="store_true", help="a look of a minute or two: less of everything, no scale")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may come several times")
    parser.add_argument("--only", metavar="WORD", help="only scenarios that have this in their name; none of scale")
    parser.add_argument(
        "--rounds", metavar="N", type=count, help="how often a scenario runs: 24, with --quick 2; p99 half as often again")
    parser.add_argument("--write", metavar="FOLDER", type=pathlib.Path, help="where benchmarks.md and benchmarks.svg go")
    parser.add_argument(
        "--programs", metavar="FOLDER", type=pathlib.Path, default=".build/release",
        help="where aegis-apply and aegis-gateway are (%(default)s)")
    parser.add_argument(
        "--caddy", metavar="FILE", type=pathlib.Path, default=".build/bench-venv/bin/caddy",
        help="Caddy's program (%(default)s)")
    parser.add_argument(
        "--states", metavar="FOLDER", type=pathlib.Path, default=".build/bench-states",
        help="where states of very many hosts are kept from one run to the next (%(default)s)")
    told = parser.parse_args()
    if told.only and "scale" in (told.part or []):
        parser.error("the part 'scale' is measured whole: leave out --only, or this part")
    # scripts/bench builds the project's own programs itself.
    own = pathlib.Path(parser.get_default("programs"))
    if told.programs != own and not (told.programs / "aegis-gateway").exists():
        parser.error(f"--programs: there is no aegis-gateway in '{told.programs}'")
    told.part = told.part or [part for part in PARTS if part != "scale" or not (told.quick or told.only)]
    return told


def count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of rounds; give 1 or more")
    return int(text)


if __name__ == "__main__":
    parse()
