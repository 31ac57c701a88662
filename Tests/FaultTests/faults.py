"""Kills an apply, and fails its system calls, at every place where it writes.

usage: faults.py PROGRAM [--every N]

strace counts the writes, syncs, renames and the like of an apply and then breaks each of them in a run of its own: by
SIGKILL, by EIO, by ENOSPC. After each: the database is whole, what was acknowledged is there, the next apply finishes the
work and the one after it has nothing to do, and no file is left that does not belong. With --every N only each Nth place.
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile

KILL_CALLS = ["pwrite64", "write", "fsync", "fdatasync", "ftruncate", "linkat", "rename", "unlink", "mkdir", "openat"]
ERROR_CALLS = ["pwrite64", "fsync", "fdatasync", "ftruncate", "linkat", "rename", "mkdir"]
EXPECTED = {
    "aegis.yaml", "own.pem", "own.key", "state/state.db",
    *(f"cache/{name}.{ending}" for ending in ("crt", "key")
      for name in ("aegis-local-ca", "admin-ui-self-signed", "proxy-self-signed")),
}
FIRST = """
version: 1
state: { path: state/state.db }
gateway: { cache_dir: cache }
issuers: { lan: { type: local_ca } }
certificates:
  web: { issuer: lan, domains: [www.example.com] }
  api: { issuer: lan, domains: [api.example.com] }
  own: { source: custom, cert: { file: own.pem }, key: { file: own.key } }
hosts:
  - { domain: www.example.com, respond: {}, ssl_mode: custom, certificate: web }
  - { domain: api.example.com, respond: {}, ssl_mode: custom, certificate: api }
  - { domain: own.example.com, respond: {}, ssl_mode: custom, certificate: own }
"""
SECOND = (
    FIRST.replace("  api: { issuer: lan, domains: [api.example.com] }\n", "  new: { issuer: lan, domains: [new.example.com] }\n")
    .replace("  - { domain: api.example.com, respond: {}, ssl_mode: custom, certificate: api }\n",
             "  - { domain: new.example.com, respond: {}, ssl_mode: custom, certificate: new }\n")
    .replace("domains: [www.example.com]", "domains: [www.example.com, web.example.com]")
)


class Failure(Exception):
    pass


class Site:
    """A folder with a configuration, before an apply."""

    def __init__(self, program, folder, template=None):
        self.program, self.folder = program, pathlib.Path(folder)
        if template:
            shutil.copytree(template, self.folder, dirs_exist_ok=True)

    def apply(self, *arguments, wrapper=()):
        return subprocess.run(
            [*wrapper, self.program, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=120,
            env={"PATH": os.environ["PATH"]})

    def strace(self, *rule):
        trace = self.folder.parent / "trace"
        return self.apply(wrapper=["strace", "-f", "-qq", "-o", str(trace), *rule]), trace

    def names(self):
        path = self.folder / "state/state.db"
        if not path.exists() or path.stat().st_size == 0:
            return set()
        # Checked in a copy, since opening the database would repair what the next apply must repair.
        copy = self.folder.parent / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(path.parent, copy)
        with contextlib.closing(sqlite3.connect(copy / path.name)) as database:
            result = database.execute("PRAGMA integrity_check").fetchone()[0]
            if result != "ok":
                raise Failure(f"integrity_check: {result}")
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
            if "certificates" not in tables:
                return set()
            return {row[0] for row in database.execute("SELECT name FROM certificates")}

    def check_after(self, outcome):
        """Checks what must hold directly after a fault."""
        stored = self.names()
        for name in re.findall(r"certificate (\S+): (?:issued|uploaded)", outcome.stderr):
            if name not in stored:
                raise Failure(f"certificate {name} was acknowledged and is lost")

    def check_recovery(self, expected):
        """Checks what must hold after the next apply."""
        rerun = self.apply()
        if rerun.returncode != 0:
            raise Failure(f"the next apply exits {rerun.returncode}: {rerun.stderr}")
        idle = self.apply()
        if idle.returncode != 0 or not idle.stdout.startswith("No changes"):
            raise Failure(f"the apply after it is not done: {idle.stdout}{idle.stderr}")
        if self.names() != expected:
            raise Failure(f"the state has {self.names()}")
        files = {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}
        # A kill while SQLite moves its -wal file into the database leaves that to the next writer, and there is nothing
        # left to write.
        if files - {"state/state.db-wal", "state/state.db-shm"} != EXPECTED:
            raise Failure(f"files differ: {files ^ EXPECTED}")
        for path in (self.folder / "state/state.db", *self.folder.glob("cache/*")):
            if stat.S_IMODE(path.stat().st_mode) != 0o600:
                raise Failure(f"{path.name} has mode {oct(path.stat().st_mode)}")


def make_own(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
         "-subj", "/CN=own.example.com", "-addext", "subjectAltName=DNS:own.example.com",
         "-keyout", f"{folder}/own.key", "-out", f"{folder}/own.pem"], check=True, capture_output=True)


def count_calls(site, calls):
    _, trace = site.strace("-e", f"trace={','.join(calls)}")
    text = trace.read_text()
    return {call: len(re.findall(rf"^\d+ +{call}\(", text, re.M)) for call in calls}


def campaign(program, name, template, expected, every, root):
    """Injects a fault at each place of one apply; returns the number of faults."""
    def fresh():
        folder = root / "site"
        shutil.rmtree(folder, ignore_errors=True)
        return Site(program, folder, template)

    counts = count_calls(fresh(), KILL_CALLS)
    kinds = [("SIGKILL", call, "signal=SIGKILL") for call in KILL_CALLS]
    kinds += [(error, call, f"error={error}") for call in ERROR_CALLS for error in ("EIO", "ENOSPC")]
    done = {"SIGKILL": 0, "EIO": 0, "ENOSPC": 0}
    step = 0
    for kind, call, injection in kinds:
        for place in range(1, counts[call] + 1):
            step += 1
            if step % every:
                continue
            site = fresh()
            outcome, _ = site.strace("-e", f"trace={call}", "-e", f"inject={call}:{injection}:when={place}")
            where = f"{name}: {kind} at {call} {place} of {counts[call]}"
            try:
                if kind != "SIGKILL" and outcome.returncode not in (0, 1, 3):
                    raise Failure(f"exit {outcome.returncode}: {outcome.stderr}")
                if kind != "SIGKILL" and outcome.returncode and not outcome.stderr.strip():
                    raise Failure("fails without a word")
                site.check_after(outcome)
                site.check_recovery(expected)
            except Failure as failure:
                print(f"FAILED {where}: {failure}\n{outcome.stdout[-500:]}{outcome.stderr[-800:]}")
                sys.exit(1)
            done[kind] += 1
    print(f"{name}: {sum(counts.values())} places; " + ", ".join(f"{count} {kind}" for kind, count in done.items()), flush=True)
    return sum(done.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=os.path.abspath)
    parser.add_argument("--every", type=int, default=1, help="break only each Nth place")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        first, second = root / "first", root / "second"
        first.mkdir()
        make_own(first)
        (first / "aegis.yaml").write_text(FIRST)
        shutil.copytree(first, second)
        setup = Site(options.program, second).apply()
        assert setup.returncode == 0, setup.stderr
        (second / "aegis.yaml").write_text(SECOND)
        total = campaign(options.program, "first apply", first, {"web", "api", "own"}, options.every, root)
        total += campaign(options.program, "second apply", second, {"web", "new", "own"}, options.every, root)
    print(f"{total} passed, 0 failed")


main()
