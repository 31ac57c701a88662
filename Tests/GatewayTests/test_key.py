"""The key of the state: a start with a wrong key fails at once and says why, and a running gateway keeps what is in
force."""

import sqlite3
import os
import subprocess

import pytest

from client import Client
from gateway import PATIENCE, PROGRAMS, Gateway, eventually

HINT = "--key-file or AEGIS_SSL_KEY gives the key that aegis-apply seals the state with"


@pytest.fixture
def gateway(tmp_path):
    gateway = Gateway(tmp_path / "gateway", [{"domain": "app.test", "respond": {"body": "hello"}}])
    yield gateway
    gateway.stop()


def start(gateway, *arguments, **variables):
    """Starts the gateway with these arguments, and waits until it ends. Returns the exit code and the output."""
    done = subprocess.run(
        [PROGRAMS / "aegis-gateway", "--state", "state.db", *arguments], cwd=gateway.folder, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, env=variables)
    return done.returncode, done.stdout


def test_a_wrong_key_ends_the_start_with_cause_and_hint(gateway):
    gateway.apply()
    (gateway.folder / "other").write_text("a5" * 32 + "\n")
    for arguments, variables in [(["--key-file", "other"], {}), ([], {"AEGIS_SSL_KEY": "a5" * 32})]:
        code, said = start(gateway, *arguments, **variables)
        assert code == 1, said
        assert "the state can't be put in force, and nothing is served: the state is sealed with another key: " in said
        assert HINT in said
    code, said = start(gateway)
    assert code == 1 and "the state does not keep its key, and none is given" in said and HINT in said
    assert "a5" * 8 not in said


@pytest.mark.parametrize("has_state", [True, False])
def test_a_key_that_can_not_be_read_ends_the_start(gateway, has_state):
    if has_state:
        gateway.apply()
    (gateway.folder / "short").write_text("abcd\n")
    for arguments, variables, cause in [
        (["--key-file", "missing"], {}, "(--key-file): cannot read 'missing': No such file or directory"),
        (["--key-file", "."], {}, "(--key-file): cannot read '.'"),
        (["--key-file", "short"], {}, "(--key-file): the master key must be 64 hex digits"),
        ([], {"AEGIS_SSL_KEY": "abcd"}, "(AEGIS_SSL_KEY): the master key must be 64 hex digits"),
    ]:
        code, said = start(gateway, *arguments, **variables)
        assert code == 1 and cause in said and "abcd" not in said, said


def test_a_key_that_does_not_open_a_later_state_is_reported(gateway):
    (gateway.folder / "other").write_text("a5" * 32 + "\n")
    gateway.launch("--key-file", "other")
    # The admin address of a gateway without a state; another test's gateway may use the same port.
    gateway.admin = 9443

    def says(*words):
        def answer():
            try:
                status, body = gateway.ask("/readyz")
            except OSError:
                return False
            return status == 503 and all(word in body for word in words)
        eventually(f"/readyz says {words}", answer)

    says("starting\nwaiting for aegis-apply to make the state\n")
    gateway.apply()
    gateway.await_log("the state can't be put in force, and nothing is served: the state is sealed with another key", HINT)
    says("starting\nthe state is sealed with another key: ", HINT)


def test_a_deleted_key_file_leaves_the_configuration_in_force(gateway):
    gateway.apply()
    gateway.start()
    (gateway.folder / "new").write_text("a5" * 32 + "\n")
    subprocess.run(
        [PROGRAMS / "aegis-apply", "rekey", "--new-key-file", "new"], cwd=gateway.folder, check=True, timeout=PATIENCE * 6,
        stdout=subprocess.DEVNULL)
    gateway.await_log("the state can't be put in force, and the former configuration stays in force: the state is sealed with another key")
    with Client(gateway.http) as client:
        assert client.get("app.test").body == b"hello"
    assert gateway.ask("/readyz")[0] == 200

    def status():
        return subprocess.run(
            [PROGRAMS / "aegis-apply", "status", "--check"], cwd=gateway.folder, capture_output=True, text=True,
            timeout=PATIENCE * 3, env={**os.environ, "AEGIS_SSL_KEY": "a5" * 32})

    eventually("a problem in status", lambda: status().returncode == 3)
    assert "the state is sealed with another key" in status().stdout
    (gateway.folder / "new").replace(gateway.folder / "key")
    gateway.await_log("the state can be read again")
