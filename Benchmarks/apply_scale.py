"""Measures what an apply costs: many certificates at once, nothing to do, and one changed host among very many.

usage: apply_scale.py PROGRAM
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

CERTIFICATES = 10_000
HOSTS = 100_000


def run(program, folder, name):
    start = time.monotonic()
    environment = {"PATH": os.environ["PATH"], "AEGIS_SSL_KEY": "0123456789abcdef" * 4}
    with open(os.devnull, "wb") as sink:
        process = subprocess.Popen([program, f"{name}.yaml"], cwd=folder, stdout=sink, stderr=sink, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, name
    wall, cpu = time.monotonic() - start, usage.ru_utime + usage.ru_stime
    return f"{wall:8.2f} s wall {cpu:8.2f} s CPU {usage.ru_maxrss / 1024:7.0f} MB"


def certificates(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
         "-subj", "/CN=own.example.com", "-addext", "subjectAltName=DNS:own.example.com",
         "-keyout", f"{folder}/own.key", "-out", f"{folder}/own.pem"], check=True, capture_output=True)
    yield "version: 1\nstate: { path: certificates/state.db }\ncertificates:\n"
    for number in range(CERTIFICATES):
        yield f"  c{number}: {{ source: custom, cert: {{ file: own.pem }}, key: {{ file: own.key }} }}\n"


def hosts(changed):
    yield "version: 1\nstate: { path: hosts/state.db }\nhosts:\n"
    for number in range(HOSTS):
        balance = "\n    balance: ip_hash" if number == changed else ""
        yield f'  - domain: host-{number}.example.com\n    upstreams: ["http://127.0.0.1:{3000 + number % 1000}"]{balance}\n'


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "certificates.yaml").write_text("".join(certificates(folder)))
        (root / "hosts.yaml").write_text("".join(hosts(None)))
        (root / "changed.yaml").write_text("".join(hosts(HOSTS // 2)))
        for title, name in [
            (f"{CERTIFICATES:,} custom certificates, first apply", "certificates"),
            (f"{CERTIFICATES:,} custom certificates, no changes", "certificates"),
            (f"{HOSTS:,} hosts, first apply", "hosts"),
            (f"{HOSTS:,} hosts, no changes", "hosts"),
            (f"{HOSTS:,} hosts, one changed (target: 1 s)", "changed"),
        ]:
            print(f"{title:48}{run(program, folder, name)}", flush=True)


main()
