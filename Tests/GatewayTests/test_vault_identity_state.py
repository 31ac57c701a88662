"""Identities from Vault in the state: their keys are sealed, and other processes use them."""

import contextlib
import os
import sqlite3
import subprocess
import threading

import pytest

import clocks
from authority import pem
from gateway import PATIENCE, PROGRAMS, Gateway, eventually
from vault_identities import (
    AILMENTS, host, issued, make_upstream, node, other, put, row, serves, status, stored, vaults)

upstream = pytest.fixture(make_upstream)


def test_no_key_or_token_is_stored_unsealed(run, vault, upstream, tmp_path):
    put(vault, "sealed", holder := node())
    gateway = run([host(upstream, tmp_path)], vaults=vaults(vault), identities=stored("sealed"))
    serves(gateway)
    gateway.stop()
    der = holder.key.private_numbers().private_value.to_bytes(32, "big")
    for path in gateway.folder.rglob("*"):
        # The local CA's keys have their own files.
        if path.is_file() and path.parent.name != "ca":
            content = path.read_bytes()
            assert der not in content and b"PRIVATE KEY" not in content, path


@clocks.needs_faketime
def test_an_identity_that_has_expired_is_shown_as_expired(run, vault, upstream, tmp_path):
    gateway = run([host(upstream, tmp_path)], vaults=vaults(vault), identities=issued())
    serves(gateway)
    gateway.stop()
    with clocks.ahead(2) as prefix:
        done = subprocess.run(
            [*prefix, PROGRAMS / "aegis-apply", "identities", "show", "mesh"], cwd=gateway.folder, capture_output=True,
            text=True, timeout=PATIENCE)
    line = next(line for line in done.stdout.splitlines() if line.startswith("ends"))
    assert line.endswith(", expired"), done.stdout + done.stderr


def test_a_damaged_row_is_reported_and_obtained_again(run, vault, upstream, tmp_path):
    gateway = run([host(upstream, tmp_path)], vaults=vaults(vault), identities=issued())
    serves(gateway)
    gateway.stop()
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state:
        # CAs other than those that the key was sealed with.
        state.execute("UPDATE obtained_identities SET authorities = ?", (pem(other.certificate),))
        state.commit()
    assert "the stored material of identity 'mesh' can't be used" in gateway.apply(everything=True)
    gateway.start()
    gateway.await_log("the stored material of the identity 'mesh' can't be used")
    serves(gateway)
    assert pem(other.certificate) not in row(gateway, "authorities")[0][0]


def test_rekey_reseals_obtained_identities(run, vault, front, upstream, tmp_path):
    gateway = run([host(upstream, tmp_path)], vaults=vaults(front), identities=issued())
    serves(gateway)
    gateway.stop()
    before = row(gateway, "hex(sealed_key)")
    (gateway.folder / "newer").write_text("a5" * 32 + "\n")
    done = subprocess.run(
        [os.environ.get("AEGIS_PROGRAMS", ".build/debug") + "/aegis-apply", "rekey", "--new-key-file", "newer"],
        cwd=gateway.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert row(gateway, "hex(sealed_key)") != before
    (gateway.folder / "key").write_text("a5" * 32 + "\n")
    front.behave = AILMENTS["gone"]
    gateway.start()
    assert status(gateway) == 200


def test_two_gateways_of_one_state_share_an_identity(run, vault, front, upstream, tmp_path):
    """One gateway obtains the identity while the other waits, and then takes it from the state. When the first is dead, the
    other obtains the next identity. The second gateway can't listen, since it has the same addresses; the test does not
    need that."""
    release = threading.Event()

    def behave(method, path, forward):
        if "/sign/" in path:
            release.wait(20)
        return forward()

    front.behave = behave
    gateway = run([host(upstream, tmp_path)], vaults=vaults(front), identities=issued())
    eventually("it asks", lambda: front.count("/sign/"))
    second = Gateway(tmp_path / "second", [])
    second.folder, second.config = gateway.folder, gateway.config
    second.launch()
    try:
        second.await_log("can't be shown to upstreams: it was not obtained yet")
        eventually("the second one has a token", lambda: front.count("lookup-self") >= 2)
        release.set()
        second.await_log("the identity 'mesh' was read from the state")
        serves(gateway)
        assert front.count("/sign/") == 1
        gateway.process.kill()
        gateway.process.wait()
        gateway.config["identities"] = issued(ttl="48h")
        gateway.apply()
        second.await_log("the identity 'mesh' was obtained from Vault 'main'")
        assert front.count("/sign/") == 2
    finally:
        second.stop()
        gateway.process = None


def test_a_successor_uses_the_stored_identity(run, vault, front, upstream, tmp_path):
    gateway = run([host(upstream, tmp_path)], vaults=vaults(front), identities=issued())
    serves(gateway)
    signed = front.count("/sign/")
    former = gateway.upgrade()
    front.behave = AILMENTS["gone"]
    assert former.wait(60) == 0
    assert status(gateway) == 200
    assert front.count("/sign/") == signed == 1
