"""Operators' own certificates that must not be served, or that no client would accept."""

import hashlib
import os
import sqlite3
import ssl
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from authority import Holder, pem
from client import Client, tls_context
from gateway import Gateway
from handshake import served

root = Holder("root", is_ca=True)


def made(folder, holder, name="own.test"):
    """A gateway with a host that has this certificate, not applied yet."""
    gateway = Gateway(folder / "gateway", [
        {"domain": name, "ssl_mode": "custom", "certificate": "own", "respond": {"status": 200, "body": "own"}}],
        certificates={"own": {"source": "custom", "cert": {"file": "own.pem"}, "key": {"file": "own.key"}}})
    (gateway.folder / "own.pem").write_bytes(pem(holder.certificate, root.certificate))
    (gateway.folder / "own.key").write_bytes(holder.key_pem)
    return gateway


def slow_key():
    """An RSA key of 8200 bits; a key of five primes is made in a second."""
    text = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:8200", "-pkeyopt",
         "rsa_keygen_primes:5"], capture_output=True, check=True).stdout
    return text, serialization.load_pem_public_key(
        subprocess.run(["openssl", "pkey", "-pubout"], input=text, capture_output=True, check=True).stdout)


@pytest.mark.parametrize("names, reason", [
    (["own.test\0.evil.test"], "a host name among its names is empty or not plain ASCII"),
    (["own.test", "\0"], "a host name among its names is empty or not plain ASCII"),
    (["own.test\0"], "a host name among its names is empty or not plain ASCII"),
    ([""], "a host name among its names is empty or not plain ASCII"),
    (None, "does not cover 'own.test'"), (["*.own.test"], "does not cover 'own.test'"),
])
def test_a_certificate_with_invalid_names_is_refused(tmp_path, names, reason):
    gateway = made(tmp_path, Holder("own.test", root, names=names))
    assert reason in gateway.apply(expect=3, everything=True)


@pytest.mark.parametrize("key, reason", [
    (lambda: dsa.generate_private_key(2048), "keys of this kind (DSA) are not supported"),
    (lambda: ec.generate_private_key(ec.SECP256K1()), "keys of this kind (ECDSA secp256k1) are not supported"),
    (lambda: ec.generate_private_key(ec.SECP224R1()), "the key is too weak (ECDSA secp224r1)"),
    (lambda: rsa.generate_private_key(65537, 1024), "the key is too weak (RSA 1024)"),
])
def test_an_unusable_key_is_refused(tmp_path, key, reason):
    gateway = made(tmp_path, Holder("own.test", root, names=["own.test"], key=key()))
    assert reason in gateway.apply(expect=3, everything=True)


@pytest.mark.parametrize("key", [
    lambda: rsa.generate_private_key(3, 2048), lambda: ec.generate_private_key(ec.SECP521R1()),
    lambda: ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate,
], ids=["RSA with the exponent 3", "P-521", "P-384", "Ed25519"])
def test_each_kind_of_key_works_with_both_tls_versions(tmp_path, key):
    gateway = made(tmp_path, Holder("own.test", root, names=["own.test"], key=key()))
    (gateway.folder / "root.pem").write_bytes(pem(root.certificate))
    gateway.apply()
    try:
        gateway.start()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = tls_context(gateway.folder / "root.pem", version)
            with Client(gateway.https, context, "own.test") as client:
                assert client.get("own.test").body == b"own"
    finally:
        gateway.stop()


def test_a_slow_key_stored_by_an_earlier_version_is_reported_and_not_used(tmp_path):
    gateway = made(tmp_path, Holder("own.test", root, names=["own.test"]))
    gateway.apply()
    text, public = slow_key()
    leaf = Holder("own.test", root, names=["own.test"], public_key=public)
    key = subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], input=text, capture_output=True, check=True).stdout
    fingerprint = hashlib.sha256(leaf.certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
    with sqlite3.connect(gateway.folder / "state.db") as state:
        sealed, = state.execute("SELECT sealed_key FROM certificates").fetchone()
        state.execute(
            "UPDATE certificates SET chain = ?, fingerprint = ?, sealed_key = ?",
            (pem(leaf.certificate, root.certificate), fingerprint, resealed(sealed, key, "own", fingerprint)))
    try:
        gateway.start()
        assert served(gateway.https, "own.test") != fingerprint
        gateway.await_log("'own'", "the key is too large (RSA 8200): at most RSA 8192 is served")
        with Client(gateway.https, tls_context(), "own.test") as client:
            assert client.get("own.test").body == b"own"
    finally:
        gateway.stop()


def resealed(envelope, secret, name, fingerprint):
    """Another key sealed in the same way as a certificate's key (Sources/PKI/Sealing/Sealer.swift)."""
    place = envelope[:1] + b"".join(
        len(part).to_bytes(8, "big") + part.encode() for part in ("certificate key", name, fingerprint))
    nonce = os.urandom(12)
    return envelope[:9] + nonce + AESGCM(b"\x5a" * 32).encrypt(nonce, secret, place)
