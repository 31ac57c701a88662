"""Kills a gateway at each step of obtaining an identity from Vault: the next gateway continues with the same key, asks
for nothing once the certificate is stored, and no key is ever on disk unsealed.

AEGIS_LONG=1 kills at every place where the state is written; else the test takes a sample.
"""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import PATIENCE, Gateway, eventually
from vault_identities import issued, row, vaults

LONG = bool(os.environ.get("AEGIS_LONG"))

# What precedes the secret of a P-256 key in DER, alone (RFC 5915) or in PKCS #8: the version 1, and 32 bytes.
BEFORE_SECRET = b"\x02\x01\x01\x04\x20"


@pytest.fixture
def make(tmp_path, front):
    """Makes gateways without starting them."""
    made = []

    def make():
        made.append(Gateway(tmp_path / f"gateway{len(made)}", [], vaults=vaults(front), identities=issued()))
        made[-1].apply()
        return made[-1]

    yield make
    for gateway in made:
        gateway.stop()


def keys(front):
    """The public keys that Vault was asked to sign."""
    requests = [json.loads(body)["csr"] for path, body in front.calls if "/sign/" in path]
    return [
        x509.load_pem_x509_csr(request.encode()).public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        for request in requests]


def kill(gateway):
    gateway.process.kill()
    assert gateway.process.wait(PATIENCE) == -signal.SIGKILL


def obtains(gateway):
    """Starts the gateway again, and checks that it serves with one identity and leaves no request in the state."""
    gateway.launch()
    gateway.await_ready()
    eventually("it is stored", lambda: len(row(gateway)) == 1)
    assert row(gateway, table="identity_requests") == []
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state:
        assert state.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for path in gateway.folder.rglob("*"):
        # The local CA's keys have their own files.
        if path.is_file() and path.parent.name != "ca":
            content = path.read_bytes()
            assert b"PRIVATE KEY" not in content and BEFORE_SECRET not in content, path


@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_a_key_in_der_would_be_found(form):
    key = ec.generate_private_key(ec.SECP256R1())
    assert BEFORE_SECRET in key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())


@pytest.mark.parametrize("call", ["lookup-self", "issuers?list", "/json", "/sign/"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_gateway_killed_at_a_call_to_vault_recovers(vault, front, make, call, after):
    """Vault signs a second time only if it had signed when the gateway was killed."""
    gateway = make()
    before = len(vault.issued())
    killed = []

    def behave(method, path, forward):
        if call not in path or killed:
            return forward()
        if after:
            forward()
        killed.append(path)
        kill(gateway)
        return None

    front.behave = behave
    gateway.launch()
    eventually("it is killed", lambda: killed and gateway.process.poll() is not None)
    begun = row(gateway, table="identity_requests")
    assert len(begun) == (call == "/sign/") and row(gateway) == []
    obtains(gateway)
    signed = keys(front)
    assert len(set(signed)) == 1, "another key"
    assert len(signed) == (2 if call == "/sign/" else 1)
    assert len(vault.issued()) - before == (2 if call == "/sign/" and after else 1)
    # The stored certificate is enough: another start asks for none.
    kill(gateway)
    obtains(gateway)
    gateway.await_log("listening")
    assert len(keys(front)) == len(signed)


@pytest.mark.parametrize("call, every", [("fdatasync", 4), ("pwrite64", 23)])
def test_a_gateway_killed_as_it_writes_the_identity_recovers(vault, front, make, call, every):
    """Counts the writes of a start, and kills at some of them in further starts."""
    kills = 0
    for place in range(1 if LONG else 2, 1000, 1 if LONG else every):
        gateway = make()
        before, asked = len(vault.issued()), len(keys(front))
        gateway.launch(wrapper=[
            "strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
            f"inject={call}:signal=KILL:when={place}"])

        def is_over():
            return gateway.process.poll() is not None or len(row(gateway)) == 1

        eventually("it is killed, or done", is_over, patience=60)
        if gateway.process.poll() is None and not dies(gateway):
            # This write comes after the certificate is stored. The gateway may even make it as it ends.
            gateway.process.terminate()
            assert gateway.process.wait(PATIENCE) in (0, -signal.SIGKILL)
            gateway.process = None
            break
        kills += 1
        assert gateway.process.wait() == -signal.SIGKILL
        obtains(gateway)
        signed = keys(front)[asked:]
        assert len(set(signed)) == 1 and len(signed) <= 2, f"killed at {call} {place}"
        assert len(vault.issued()) - before <= 2
        gateway.stop()
    assert kills >= 1


def dies(gateway):
    """Whether the gateway is killed within a second."""
    try:
        gateway.process.wait(1)
        return True
    except subprocess.TimeoutExpired:
        return False
