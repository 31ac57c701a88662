"""scripts/run as a newcomer runs it, without the compiler."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest

from gateway import PATIENCE, PROGRAMS, eventually, free_port

ROOT = pathlib.Path(__file__).parents[2]
FILE = """version: 1
state: {{ path: .aegis/state.db }}
gateway: {{ http: ["127.0.0.1:{http}"], https: ["127.0.0.1:{https}"], admin: "127.0.0.1:{admin}" }}
issuers: {{ lan: {{ type: local_ca }} }}
certificates: {{ site: {{ issuer: lan, domains: [{host}] }} }}
hosts: [{{ domain: {host}, ssl_mode: custom, certificate: site, respond: {{ status: 200, body: "it runs" }} }}]
"""


def lay_out_checkout(folder):
    """Makes a checkout whose programs are built already. Its folder `bin` has a compiler that does nothing."""
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    (folder / ".build").mkdir()
    (folder / ".build/release").symlink_to(PROGRAMS)
    compiler = folder / "bin/swift"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\necho Swift version 6.3\n")
    compiler.chmod(0o755)


@pytest.fixture
def checkout(tmp_path):
    lay_out_checkout(tmp_path)
    return tmp_path


def start(checkout, file):
    log = open(checkout / "run.log", "wb")
    return subprocess.Popen(
        ["scripts/run", file], cwd=checkout, stdout=log, stderr=log, start_new_session=True,
        env={**os.environ, "PATH": f"{checkout}/bin:{os.environ['PATH']}"})


@pytest.mark.parametrize("host", ["localhost", "app.test"])
def test_run_prints_what_to_open_and_to_try(checkout, host):
    http, https, admin = free_port(), free_port(), free_port()
    (checkout / "site").mkdir()
    (checkout / "site/aegis.yaml").write_text(FILE.format(http=http, https=https, admin=admin, host=host))
    process = start(checkout, "site/aegis.yaml")
    try:
        text = eventually(
            "the end of its words", lambda: (said := (checkout / "run.log").read_text()).endswith("Ctrl-C ends it.\n") and said)
        assert f"Serving https://{host}:{https}/ and http://{host}:{http}/." in text
        command, = re.findall(r"^  (curl .*)$", text, re.MULTILINE)
        answer = subprocess.run(["sh", "-c", f"{command} -s"], cwd=checkout, capture_output=True, timeout=PATIENCE, text=True)
        assert (answer.returncode, answer.stdout) == (0, "it runs")
        plan, = re.findall(r"^  (\S+ site/aegis.yaml --dry-run) ", text, re.MULTILINE)
        assert "No changes" in subprocess.run(
            plan.split(), cwd=checkout, capture_output=True, timeout=PATIENCE, text=True, check=True).stdout
    finally:
        # Ctrl-C sends the signal to every process of the terminal's group.
        os.killpg(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    assert (checkout / "run.log").read_text().endswith(" ended\n")


def test_run_ends_at_an_invalid_file(checkout):
    (checkout / "aegis.yaml").write_text("version: 1\nhost: []\n")
    assert start(checkout, "aegis.yaml").wait(PATIENCE) == 65
    text = (checkout / "run.log").read_text()
    assert "did you mean 'hosts'?" in text
    assert "Try next" not in text


def test_run_names_only_addresses_that_the_gateway_listens_at(checkout):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"http": free_port(), "https": taken.getsockname()[1], "admin": free_port()}
        (checkout / "aegis.yaml").write_text(FILE.format(host="localhost", **ports))
        process = start(checkout, "aegis.yaml")
        try:
            text = eventually(
                "the end of its words", lambda: "Ctrl-C" in (said := (checkout / "run.log").read_text()) and said)
            assert "Address already in use" in text
            assert "Serving" not in text
        finally:
            os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) == 0
