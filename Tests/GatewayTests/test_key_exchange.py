"""Which group is used for the key exchange, with the system's OpenSSL and with 3.5. No handshake needs a second
ClientHello."""

import contextlib
import socket
import ssl
import subprocess
import threading

import pytest

import openssl35
from authority import Holder
from client import Client
from gateway import PATIENCE
from origin import OK
from records import HANDSHAKE, client_hello, records

X25519, P256, P384, X25519MLKEM768 = 0x001D, 0x0017, 0x0018, 0x11EC
# The random value that marks a ServerHello as a HelloRetryRequest (RFC 8446 section 4.1.3).
RETRY = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")


class Tap:
    """A relay in front of a server that keeps the bytes of both directions."""

    def __init__(self, port):
        self.target, self.sent, self.received = port, bytearray(), bytearray()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target), timeout=PATIENCE)
                for source, target, kept in ((near, far, self.sent), (far, near, self.received)):
                    threading.Thread(target=self._relay, args=(source, target, kept), daemon=True).start()

    @staticmethod
    def _relay(source, target, kept):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                kept += piece
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    @property
    def client_hellos(self):
        return sum(kind == HANDSHAKE and content[:1] == b"\x01" for kind, content in records(self.sent))

    @property
    def answers(self):
        return server_hellos(self.received)


def server_hellos(data):
    """For each hello of a server: whether it is a HelloRetryRequest, and the group that it has chosen."""
    found = []
    for kind, content in records(data):
        if kind != HANDSHAKE or content[:1] != b"\x02":
            continue
        # Type, length, version, random, session, cipher, compression, length of the extensions (RFC 8446 section
        # 4.1.3).
        position = 4 + 2 + 32 + 1 + content[38] + 2 + 1 + 2
        group, end = None, 4 + int.from_bytes(content[1:4], "big")
        while position < end:
            extension, length = (int.from_bytes(content[at:at + 2], "big") for at in (position, position + 2))
            if extension == 51:
                group = int.from_bytes(content[position + 4:position + 6], "big")
            position += 4 + length
        found.append((content[6:38] == RETRY, group))
    return found


@pytest.fixture
def start(run):
    """Starts a gateway with a version of OpenSSL, for a host with a fixed answer and one with an upstream over TLS."""
    def start(version, upstream=None, authority=None):
        hosts = [{"domain": "one.test", "respond": {"status": 200, "body": "one"}}]
        if upstream:
            hosts.append({"domain": "app.test", "upstreams": [upstream], "upstream_tls": {"ca_file": str(authority)}})
        return run(hosts, wrapper=version, gateway={"workers": 1})

    return start


# Towards upstreams.

@pytest.fixture
def upstream(make_origin, tmp_path):
    holder = Holder("leaf", names=["127.0.0.1"])
    return make_origin(tls=holder.server(tmp_path / "leaf.pem")), holder.write(tmp_path / "ca.pem", key=False)


@pytest.mark.parametrize("version", openssl35.VERSIONS)
@pytest.mark.parametrize("curve, expected", [
    (None, [(False, X25519)]), ("prime256v1", [(True, P256), (False, P256)]),
], ids=["all that OpenSSL 3.0 has", "P-256 alone"])
def test_an_upstream_gets_one_client_hello_unless_it_lacks_the_usual_groups(start, upstream, version, curve, expected):
    origin, authority = upstream
    if curve:
        origin.tls.set_ecdh_curve(curve)
    with Tap(origin.port) as tap:
        gateway = start(version, f"https://127.0.0.1:{tap.port}", authority)
        with Client(gateway.http) as client:
            assert client.get().body == b"ok"
        assert tap.answers == expected
        assert tap.client_hellos == len(expected)


# An answer after which the next request needs a new connection.
CLOSING = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("version", openssl35.VERSIONS)
def test_the_group_that_an_upstream_has_chosen_is_offered_from_then_on(start, upstream, version):
    """The gateway offers the group as long as the upstream chooses it. After another choice one handshake needs a
    second hello."""
    origin, authority = upstream
    origin.answers["/"] = CLOSING
    with Tap(origin.port) as tap:
        gateway = start(version, f"https://127.0.0.1:{tap.port}", authority)
        with Client(gateway.http) as client:
            for curve, group in [("prime256v1", P256), ("secp384r1", P384), ("prime256v1", P256), ("X25519", X25519)]:
                origin.tls.set_ecdh_curve(curve)
                for expected in ([(True, group), (False, group)], [(False, group)], [(False, group)]):
                    known, hellos = len(tap.answers), tap.client_hellos
                    assert client.get().body == b"ok"
                    assert tap.answers[known:] == expected
                    assert tap.client_hellos == hellos + len(expected)


def test_an_upstreams_choice_of_a_group_does_not_affect_others(run, make_origin, tmp_path):
    holder = Holder("leaf", names=["127.0.0.1"])
    authority = holder.write(tmp_path / "ca.pem", key=False)
    taps, hosts = [], []
    with contextlib.ExitStack() as stack:
        for number, curve in enumerate(["prime256v1", "X25519"]):
            origin = make_origin(tls=holder.server(tmp_path / f"leaf{number}.pem"))
            origin.tls.set_ecdh_curve(curve)
            origin.answers["/"] = CLOSING
            taps.append(stack.enter_context(Tap(origin.port)))
            url = f"https://127.0.0.1:{taps[-1].port}"
            hosts.append({"domain": f"{number}.test", "upstreams": [url], "upstream_tls": {"ca_file": str(authority)}})
        gateway = run(hosts, gateway={"workers": 1})
        with Client(gateway.http) as client:
            for number in (0, 1, 0, 1):
                assert client.get(f"{number}.test").body == b"ok"
        assert [tap.client_hellos for tap in taps] == [3, 2]


def test_the_group_of_a_tls_1_2_upstream_does_not_matter(start, upstream):
    """In TLS 1.2 the client's key share follows the server's choice, so there is nothing to remember."""
    origin, authority = upstream
    origin.tls.maximum_version = ssl.TLSVersion.TLSv1_2
    origin.tls.set_ecdh_curve("prime256v1")
    origin.answers["/"] = CLOSING
    with Tap(origin.port) as tap:
        gateway = start((), f"https://127.0.0.1:{tap.port}", authority)
        with Client(gateway.http) as client:
            assert [client.get().body for _ in range(3)] == 3 * [b"ok"]
        assert tap.client_hellos == 3


@openssl35.needed
def test_a_capable_upstream_gets_a_post_quantum_key_exchange(start):
    behind = start(openssl35.WRAPPER)
    with Tap(behind.https) as tap:
        gateway = start(openssl35.WRAPPER, f"https://localhost:{tap.port}", behind.root)
        with Client(gateway.http) as client:
            # The gateway behind the tap does not know the host, but answers.
            assert client.get().status in (404, 421)
        assert tap.answers == [(False, X25519MLKEM768)] and tap.client_hellos == 1


# As a server.

def greet(port, *arguments):
    """A handshake by OpenSSL 3.5's client."""
    command = [*openssl35.COMMAND, "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3", "-servername", "one.test"]
    subprocess.run([*command, *arguments], input="", capture_output=True, text=True, timeout=PATIENCE, check=True)


@pytest.mark.parametrize("version", openssl35.VERSIONS)
@pytest.mark.parametrize("curve, group", [(None, X25519), ("prime256v1", P256), ("secp384r1", 0x0018)])
def test_a_client_without_the_newest_group_is_answered_at_once(start, version, curve, group):
    gateway = start(version)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if curve:
        context.set_ecdh_curve(curve)
    with socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE) as connection:
        connection.sendall(client_hello("one.test", context=context))
        received = b""
        while not server_hellos(received):
            piece = connection.recv(65536)
            assert piece
            received += piece
    assert server_hellos(received) == [(False, group)]


@openssl35.needed
@pytest.mark.parametrize("groups, expected", [
    ("X25519MLKEM768", [(False, X25519MLKEM768)]),
    ("*X25519MLKEM768:*X25519", [(False, X25519MLKEM768)]),
    ("*X25519:*X25519MLKEM768", [(False, X25519MLKEM768)]),
    ("*X25519:X25519MLKEM768", [(True, X25519MLKEM768), (False, X25519MLKEM768)]),
    ("*P-256:X25519", [(False, P256)]),
])
def test_with_openssl_3_5_a_client_gets_a_post_quantum_group(start, groups, expected):
    gateway = start(openssl35.WRAPPER)
    with Tap(gateway.https) as tap:
        greet(tap.port, "-groups", groups)
        assert tap.answers == expected


@openssl35.needed
def test_the_systems_openssl_serves_a_client_with_openssl_3_5(start):
    gateway = start(())
    with Tap(gateway.https) as tap:
        greet(tap.port)
        # The client sent both of its key shares at first.
        assert tap.answers[-1][1] in (X25519, X25519MLKEM768) and tap.client_hellos == 1
