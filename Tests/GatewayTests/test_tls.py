"""TLS as real clients speak it: openssl s_client and Python's ssl."""

import re
import socket
import ssl
import subprocess
import time

import pytest

from client import Client, tls_context
from gateway import PATIENCE
from records import by_bytes, client_hello, into_records, records

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    hosts = [
        {"domain": name, "ssl_mode": "custom", "certificate": name, "respond": {"status": 200, "body": name}}
        for name in ("one.test", "two.test")
    ]
    return run_once(
        hosts + [
            {"domain": "*.wild.test", "ssl_mode": "custom", "certificate": "wild",
             "respond": {"status": 200, "body": "wild"}},
            {"domain": "bare.test", "respond": {"status": 200, "body": "bare"}},
            {"domain": "covered.test", "respond": {"status": 200, "body": "covered"}},
            {"domain": "modern.test", "ssl_mode": "custom", "certificate": "modern", "tls_min_version": "1.3",
             "respond": {"status": 200, "body": "modern"}},
            {"domain": "rsa.test", "ssl_mode": "custom", "certificate": "rsa", "respond": {"status": 200, "body": "rsa"}},
        ],
        gateway={"limits": {"handshake_timeout": "1s", "idle_timeout": "60s"}},
        issuers={"lan": {"type": "local_ca"}},
        certificates={
            "one.test": {"issuer": "lan", "domains": ["one.test"]},
            "two.test": {"issuer": "lan", "domains": ["two.test"]},
            "wild": {"issuer": "lan", "domains": ["*.wild.test"]},
            "covering": {"issuer": "lan", "domains": ["covered.test"]},
            "modern": {"issuer": "lan", "domains": ["modern.test"]},
            "rsa": {"issuer": "lan", "domains": ["rsa.test"], "key_type": "rsa-2048"},
        })


def s_client(gateway, *arguments, send=""):
    """The output of openssl s_client; its exit code is in `returncode`."""
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.https}", "-CAfile", gateway.root, *arguments],
        input=send, capture_output=True, text=True, timeout=PATIENCE)


def subject_names(gateway, *arguments):
    """The names in the certificate that a handshake shows."""
    shown = s_client(gateway, *arguments).stdout
    certificate = re.search("-----BEGIN.*?END CERTIFICATE-----\n", shown, re.DOTALL)
    assert certificate, shown
    text = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=certificate[0], capture_output=True, text=True)
    return re.findall(r"DNS:([^,\s]+)", text.stdout)


# Which certificate is shown.

@pytest.mark.parametrize("name, expected", [
    ("one.test", "one.test"), ("two.test", "two.test"), ("ONE.test", "one.test"), ("one.test.", "one.test"),
    ("a.wild.test", "*.wild.test"), ("covered.test", "covered.test"),
    ("bare.test", "bare.test"), ("unknown.test", "unknown.test"), ("a.b.wild.test", "a.b.wild.test"),
])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_the_certificate_is_the_one_for_the_name(gateway, name, expected, version):
    assert subject_names(gateway, version, "-servername", name) == [expected]


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_client_without_a_server_name_gets_a_certificate(gateway, version):
    assert subject_names(gateway, version, "-noservername") == ["localhost"]


@pytest.mark.parametrize("name", ["one.test", "bare.test", "rsa.test"])
def test_the_chain_leads_to_the_local_ca(gateway, name):
    assert "Verify return code: 0 (ok)" in s_client(
        gateway, "-servername", name, "-verify_hostname", name, "-verify_return_error").stdout
    with Client(gateway.https, tls_context(gateway.root), name) as client:
        assert client.get(name).status == 200


@pytest.mark.parametrize("name", ["xn--" + "a" * 59 + ".test", "a" * 63 + "." + "b" * 63 + "." + "c" * 63, "under_score.test"])
def test_odd_server_names_get_a_handshake(gateway, name):
    with Client(gateway.https, tls_context(), name) as client:
        assert client.get(name).status in (400, 404)


@pytest.mark.parametrize("name, host, status", [
    ("one.test.", "one.test", 200), ("one.test", "one.test.", 200), ("ONE.test.", "one.TEST.", 200),
    ("one.test.", "two.test", 421), ("one.test", "two.test.", 421), ("one.test.", "two.test.", 421),
    ("a.wild.test.", "a.wild.test", 200), ("a.wild.test.", "one.test.", 421), ("one.test.", "a.wild.test.", 421),
    ("two.test.", "modern.test.", 421),
])
def test_a_trailing_dot_does_not_change_the_host(gateway, name, host, status):
    with Client(gateway.https, tls_context(), name) as client:
        assert client.get(host).status == status


def test_two_trailing_dots_do_change_the_host(gateway):
    assert subject_names(gateway, "-servername", "modern.test..") != ["modern.test"]
    # A connection with this name is under no host's rules, and so reaches no host.
    done = s_client(
        gateway, "-tls1_2", "-servername", "modern.test..", "-ign_eof",
        send="GET / HTTP/1.1\r\nHost: modern.test\r\nConnection: close\r\n\r\n")
    assert "HTTP/1.1 421 " in done.stdout


@pytest.mark.parametrize("name", [b"modern\0test", b"modern.tes\0", b"\0odern.test"])
def test_a_nul_does_not_end_a_server_name(gateway, name):
    hello = client_hello("modern.test").replace(b"modern.test", name)
    with socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE) as connection:
        connection.sendall(hello)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    # unrecognized_name (RFC 6066 section 3).
    assert records(received) == [(21, b"\x02\x70")]


# Versions, ciphers, protocols.

@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_both_versions_are_spoken(gateway, version):
    with Client(gateway.https, tls_context(versions=version), "one.test") as client:
        assert client.socket.version() == version.name.replace("_", ".")
        assert client.get("one.test").body == b"one.test"


@pytest.mark.parametrize("arguments", [
    ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), ("-tls1", "-cipher", "ALL:@SECLEVEL=0"),
    ("-tls1_2", "-cipher", "AES128-SHA"), ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"),
    ("-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"), ("-tls1_2", "-groups", "secp224r1"),
    ("-tls1_3", "-groups", "secp521r1"),
], ids=" ".join)
def test_old_tls_versions_are_refused(gateway, arguments):
    done = s_client(gateway, "-servername", "one.test", *arguments)
    assert done.returncode != 0 and "BEGIN CERTIFICATE" not in done.stdout


@pytest.mark.parametrize("version, offered, chosen", [
    ("-tls1_3", "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
    ("-tls1_3", "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
    ("-tls1_3", "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
])
def test_the_gateway_chooses_the_cipher_but_for_those_that_lack_aes(gateway, version, offered, chosen):
    output = s_client(gateway, version, "-ciphersuites", offered, "-servername", "one.test").stdout
    assert f"Cipher is {chosen}" in output


def test_the_lowest_tls_version_of_a_host_is_enforced(gateway):
    with Client(gateway.https, tls_context(versions=TLS13), "modern.test") as client:
        assert client.get("modern.test").body == b"modern"
    with pytest.raises(ssl.SSLError, match="protocol version|PROTOCOL_VERSION"):
        Client(gateway.https, tls_context(versions=TLS12), "modern.test")
    assert s_client(gateway, "-tls1_2", "-servername", "MODERN.test.").returncode != 0


def test_the_client_chooses_the_version_by_alpn(gateway):
    for offered in (["http/1.1", "h2"], ["h2"]):
        with Client(gateway.https, tls_context(alpn=offered), "one.test") as client:
            assert client.socket.selected_alpn_protocol() == "h2"
    with Client(gateway.https, tls_context(alpn=["spdy/3", "http/1.1"]), "one.test") as client:
        assert client.socket.selected_alpn_protocol() == "http/1.1"
        assert client.get("one.test").status == 200
    with Client(gateway.https, tls_context(), "one.test") as client:
        assert client.socket.selected_alpn_protocol() is None


@pytest.mark.parametrize("protocols", [["h3"], ["spdy/3"], ["acme-tls/1"]])
def test_a_client_without_a_common_protocol_is_refused(gateway, protocols):
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        Client(gateway.https, tls_context(alpn=protocols), "one.test")


def test_renegotiation_is_refused(gateway):
    process = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.https}", "-tls1_2", "-servername", "one.test"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output, _ = process.communicate("R\nGET / HTTP/1.1\r\nHost: one.test\r\n\r\n", timeout=PATIENCE)
    assert "RENEGOTIATING" in output
    assert re.search("no renegotiation|handshake failure|unexpected", output), output


def test_there_is_no_compression(gateway):
    assert "Compression: NONE" in s_client(gateway, "-tls1_2", "-servername", "one.test", "-comp").stdout


# Sessions.

def resumption(gateway, version, first, second, context=None):
    """Whether a session made with one name is resumed with another."""
    context = context or tls_context(versions=version)

    def handshake(name, session=None):
        connection = socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE)
        with context.wrap_socket(connection, server_hostname=name, session=session) as tls:
            tls.sendall(f"GET / HTTP/1.1\r\nHost: {name or 'one.test'}\r\n\r\n".encode())
            assert tls.recv(4096).startswith(b"HTTP/1.1 200")  # TLS 1.3 sends its ticket with the answer
            return tls.session, tls.session_reused

    session, reused = handshake(first)
    assert not reused
    following, reused = handshake(second, session)
    if reused and version == TLS13:
        # A ticket should be used once (RFC 8446 appendix C.4): another one comes with each resumption.
        assert following.id != session.id and handshake(second, following)[1]
    return reused


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_every_worker_resumes_a_session(gateway, version):
    for _ in range(8):
        assert resumption(gateway, version, "one.test", "one.test")


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_session_of_a_wildcard_serves_its_names(gateway, version):
    assert resumption(gateway, version, "a.wild.test", "a.wild.test")


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("first, second", [
    ("one.test", "two.test"), ("one.test", "bare.test"), ("one.test", None), (None, "one.test"),
    ("bare.test", "one.test"), ("one.test", "a.wild.test"),
])
def test_a_session_of_one_host_is_not_resumed_by_another(gateway, version, first, second):
    assert not resumption(gateway, version, first, second)


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("second", ["ONE.test", "one.test.", "One.Test."])
def test_a_session_is_resumed_under_another_spelling_of_the_name(gateway, version, second):
    assert resumption(gateway, version, "one.test", second)


@pytest.mark.parametrize("name", ["modern.test", "modern.test.", "MODERN.test"])
def test_a_session_of_another_host_does_not_lower_a_hosts_tls_version(gateway, name):
    context = tls_context(versions=TLS12)
    with socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE) as connection:
        with context.wrap_socket(connection, server_hostname="one.test") as tls:
            session = tls.session
    assert session.has_ticket
    with socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE) as connection:
        with pytest.raises(ssl.SSLError, match="(?i)protocol.version"):
            context.wrap_socket(connection, server_hostname=name, session=session)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("second, word", [("one.test", "Reused"), ("two.test", "New")])
def test_openssl_resumes_sessions_too(gateway, tmp_path, version, second, word):
    request = "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n"
    path = tmp_path / "session"
    s_client(gateway, version, "-servername", "one.test", "-sess_out", path, "-ign_eof",
             send=request.format("one.test"))
    done = s_client(gateway, version, "-servername", second, "-sess_in", path, "-ign_eof", send=request.format(second))
    assert re.search(f"^{word}, TLSv1", done.stdout, re.MULTILINE), done.stdout
    assert "HTTP/1.1 200 OK" in done.stdout


# Client hellos in pieces.

class Split:
    """A TLS client whose bytes are sent in the pieces that `cut` makes."""

    def __init__(self, gateway, name, context=None):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or tls_context()).wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self.socket = socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def drive(self, action, cut):
        """Performs a call of the TLS object, sending and receiving what it needs."""
        while True:
            try:
                result, is_done = action(), True
            except ssl.SSLWantReadError:
                is_done = False
            for piece in cut(self.outgoing.read()):
                self.socket.sendall(piece)
            if is_done:
                return result
            data = self.socket.recv(65536)
            assert data, "the gateway has closed"
            self.incoming.write(data)


@pytest.mark.parametrize("how", ["bytes", "records", "records of a byte", "records by bytes"])
@pytest.mark.parametrize("version, name", [(TLS13, "one.test"), (TLS12, "one.test"), (TLS13, "modern.test")])
def test_a_client_hello_may_arrive_in_any_pieces(gateway, how, version, name):
    first = [True]

    def cut(data):
        is_first, first[0] = first[0], False
        if is_first and how.startswith("records"):
            data = into_records(data, {"records": 50, "records of a byte": 1, "records by bytes": 7}[how])
        return by_bytes(data) if "bytes" in how else [data] if data else []

    split = Split(gateway, name, tls_context(gateway.root, version))
    split.drive(split.tls.do_handshake, cut)
    split.tls.write(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
    answer = split.drive(lambda: split.tls.read(4096), cut)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    split.socket.close()


@pytest.mark.parametrize("size", [1, 3])
def test_a_client_hello_in_pieces_does_not_escape_its_hosts_rules(gateway, size):
    def cut(data):
        return by_bytes(into_records(data, size)) if data[:1] == b"\x16" and data[5:6] == b"\x01" else [data]

    split = Split(gateway, "modern.test", tls_context(versions=TLS12))
    with pytest.raises(ssl.SSLError, match="(?i)protocol.version"):
        split.drive(split.tls.do_handshake, cut)


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n", b"\x16\x03\x01\x00\x00", b"\x16\x03\x01\xff\xff" + b"a" * 70000,
    b"\x15\x03\x01\x00\x02\x02\x28", b"\x80\x2e\x01\x03\x01" + b"a" * 50, bytes(100), b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
], ids=["http", "empty record", "long record", "alert", "SSLv2", "zeros", "endless hello"])
def test_bytes_that_are_no_handshake_are_refused_and_harm_nobody(gateway, data):
    with socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE) as connection:
        try:
            connection.sendall(data)
            while connection.recv(4096):
                pass
        except ConnectionError:
            pass
    with Client(gateway.https, tls_context(), "one.test") as client:
        assert client.get("one.test").status == 200


@pytest.mark.parametrize("start", [
    b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n", b"OPTIONS * HTTP/1.1\r\n", b"P",
    b"POST / HTTP/1.1\r\nHost: one.test\r\nContent-Length: 300000\r\n\r\n" + b"a" * 300_000,
], ids=lambda start: start[:8].decode())
@pytest.mark.parametrize("port", ["https", "admin"])
def test_plain_http_at_a_tls_port_gets_an_explanation(gateway, port, start):
    failed = 'aegis_tls_handshakes_total{result="failed",version=""}'
    before = gateway.metric(failed)
    with Client(getattr(gateway, port)) as client:
        client.send(start)
        answer = client.response()
        assert (answer.status, answer["Content-Type"]) == (400, "text/plain; charset=utf-8")
        assert b"plain HTTP request was sent to a port that speaks HTTPS" in answer.body
        client.socket.shutdown(socket.SHUT_WR)
        assert client.is_closed()
    assert gateway.metric(failed) == before + (port == "https")


@pytest.mark.parametrize("start", [b"Hello", b"GET/ HTTP/1.1\r\n\r\n", b"get / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n"])
def test_bytes_that_are_neither_http_nor_tls_get_no_answer(gateway, start):
    with Client(gateway.https) as client:
        client.send(start)
        assert client.is_closed()


@pytest.mark.parametrize("data", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
def test_a_slow_handshake_is_cut_off(gateway, data):
    before = gateway.metric('aegis_tls_handshakes_total{result="timeout",version=""}')
    with socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE) as connection:
        connection.sendall(data)
        try:
            assert connection.recv(100) == b""
        except ConnectionError:
            pass
    assert gateway.metric('aegis_tls_handshakes_total{result="timeout",version=""}') == before + 1


def test_a_handshake_sent_in_drops_is_cut_off_too(gateway):
    before = gateway.metric('aegis_tls_handshakes_total{result="timeout",version=""}')
    hello = into_records(client_hello("one.test"), 1)
    with socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE) as connection:
        with pytest.raises(ConnectionError):
            for byte in by_bytes(hello):
                connection.sendall(byte)
                time.sleep(0.05)  # the pace of the attack
    assert gateway.metric('aegis_tls_handshakes_total{result="timeout",version=""}') == before + 1


# Ends of connections.

def test_an_orderly_close_sends_close_notify(gateway):
    with Client(gateway.https, tls_context(), "one.test") as client:
        assert client.get("one.test", "/", "Connection: close").status == 200
        assert client.is_closed()  # an end without close_notify is an error in Python


def test_handshakes_are_counted(gateway):
    name = 'aegis_tls_handshakes_total{result="ok",version="1.3"}'
    before = gateway.metric(name)
    for _ in range(3):
        with Client(gateway.https, tls_context(versions=TLS13), "one.test") as client:
            client.get("one.test")
    assert gateway.metric(name) == before + 3
