"""What a client gets when its TLS handshake fails: the alert arrives, whatever the client sends after its fault."""

import socket
import ssl
import threading

import pytest

from client import Client, tls_context
from gateway import PATIENCE, eventually
from process import descriptors
from records import APPLICATION_DATA, ENCRYPTED, HANDSHAKE, alerts, client_hello, record

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

PROTOCOL_VERSION, NO_APPLICATION_PROTOCOL, DECODE_ERROR, INTERNAL_ERROR = 70, 120, 50, 80
UNEXPECTED_MESSAGE, HANDSHAKE_FAILURE = 10, 40


@pytest.fixture(scope="module")
def gateway(run_once):
    return run_once(
        [{"domain": "one.test", "respond": {"status": 200, "body": "one"}}],
        gateway={"workers": 1, "limits": {"handshake_timeout": "1s"}})


def old_hello():
    """The hello of a client that speaks TLS 1.1 at most: a hello whose offered version is replaced."""
    hello = bytearray(client_hello("one.test", versions=TLS12))
    hello[9:11] = b"\x03\x02"
    return bytes(hello)


FAULTS = {
    "an unknown protocol": (lambda: client_hello("one.test", alpn=["spdy/3"]), {NO_APPLICATION_PROTOCOL}),
    "TLS 1.1": (old_hello, {PROTOCOL_VERSION}),
    "a hello with a broken name": (
        lambda: client_hello("one.test").replace(b"\0\x0b\0\0\x08one.test", b"\0\x0b\0\0\x09one.test"),
        {DECODE_ERROR, UNEXPECTED_MESSAGE}),
    "no common cipher": (
        lambda: client_hello("one.test", versions=TLS12, ciphers="AES128-SHA"), {HANDSHAKE_FAILURE}),
    "garbage behind the hello": (lambda: client_hello("one.test") + b"garbage" * 100, {ENCRYPTED}),
    "a record that can't be decrypted": (
        lambda: client_hello("one.test", versions=TLS13) + record(APPLICATION_DATA, bytes(64)), {ENCRYPTED}),
    "a record that is too long": (
        lambda: client_hello("one.test", versions=TLS13) + b"\x17\x03\x03\xff\xff", {ENCRYPTED}),
    "two hellos": (
        lambda: (hello := client_hello("one.test", versions=TLS12)) + record(HANDSHAKE, hello[5:]), {UNEXPECTED_MESSAGE}),
    "a message out of turn": (
        lambda: client_hello("one.test", versions=TLS12) + record(HANDSHAKE, b"\x14\0\0\x0c" + bytes(12)),
        {UNEXPECTED_MESSAGE}),
}


def told(connection):
    """All bytes up to the end of a connection, which must not be a reset."""
    received = bytearray()
    while piece := connection.recv(65536):
        received += piece
    return bytes(received)


@pytest.mark.parametrize("behind", [0, 1, 900_000], ids="{} bytes behind".format)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_alert_of_a_failed_handshake_arrives(gateway, fault, behind):
    message, expected = FAULTS[fault]
    with socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE) as connection:
        connection.sendall(message())
        # The alert is sent before the rest arrives: what the client sends now reaches a connection that has failed.
        first = connection.recv(65536)
        connection.sendall(b"x" * behind)
        connection.shutdown(socket.SHUT_WR)
        said = alerts(first + told(connection))
    assert len(said) == 1 and said[0] in expected, said


@pytest.mark.parametrize("fault", FAULTS)
def test_the_alert_arrives_even_if_everything_was_sent_at_once(gateway, fault):
    message, expected = FAULTS[fault]
    with socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE) as connection:
        connection.sendall(message() + b"x" * 300_000)
        said = alerts(told(connection))
    assert len(said) == 1 and said[0] in expected, said


@pytest.mark.parametrize("start", [b"\x16\x09\x09\0\0", b"Hello", bytes(100)])
def test_bytes_that_are_no_tls_get_an_orderly_close(gateway, start):
    with socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE) as connection:
        connection.sendall(start + b"x" * 300_000)
        assert told(connection) == b""


def test_a_certificate_that_openssl_refuses_is_an_internal_error_alert(run, tmp_path, monkeypatch):
    """OpenSSL is configured to use no RSA keys of 2048 bits, which it notices at the handshake."""
    settings = tmp_path / "openssl.cnf"
    settings.write_text(
        "openssl_conf = main\n[main]\nssl_conf = ssl\n[ssl]\nsystem_default = all\n"
        "[all]\nCipherString = DEFAULT:@SECLEVEL=3\n")
    monkeypatch.setenv("OPENSSL_CONF", str(settings))
    gateway = run(
        [{"domain": "rsa.test", "ssl_mode": "custom", "certificate": "rsa", "respond": {"status": 200, "body": "rsa"}}],
        issuers={"lan": {"type": "local_ca"}},
        certificates={"rsa": {"issuer": "lan", "domains": ["rsa.test"], "key_type": "rsa-2048"}})
    with socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE) as connection:
        connection.sendall(client_hello("rsa.test") + b"x" * 300_000)
        assert alerts(told(connection)) == [INTERNAL_ERROR]


def test_a_client_that_never_closes_is_cut_off_after_the_handshake_timeout(gateway):
    """Each client gets its alert and keeps its connection open. The gateway closes the connections nevertheless."""
    before = descriptors(gateway.process.pid)
    timeouts = gateway.metric('aegis_tls_handshakes_total{result="timeout",version=""}')
    held = []
    for _ in range(300):
        connection = socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE)
        connection.sendall(old_hello())
        held.append(connection)
    for connection in held:
        assert alerts(told(connection)) == [PROTOCOL_VERSION]
    # The clients don't close; the gateway does.
    eventually("the gateway has let go of them", lambda: descriptors(gateway.process.pid) <= before)
    # These handshakes count as failed, not as too slow.
    assert gateway.metric('aegis_tls_handshakes_total{result="timeout",version=""}') == timeouts
    for connection in held:
        connection.close()


def test_endless_bytes_after_a_failed_handshake_are_cut_off(gateway):
    """The gateway closes after a mebibyte. With only a time limit, the test could send all its bytes."""
    with socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE) as connection:
        connection.sendall(old_hello())
        with pytest.raises(ConnectionError):
            for _ in range(4096):
                connection.sendall(b"x" * 65536)
    with Client(gateway.https, tls_context(), "one.test") as client:
        assert client.get("one.test").status == 200
