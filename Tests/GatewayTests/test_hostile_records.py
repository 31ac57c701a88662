"""Floods of TLS records of every type without data, from clients and from upstreams: their connections end, and nobody else
waits."""

import threading

import pytest

from client import BrokenTransfer, Client
from flood import HONEST, is_ended, send_without_reading, watched
from gateway import PATIENCE, eventually
from origin import OK
from test_upgrades import AGREE, ASK, echo
from tls_records import ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, VERSIONS, RawTLS
from tls_server import Server, TLSServer, answers_in_turn, honest

COUNT = 10_000
PATIENT = {"request_header_timeout": "10m", "body_progress_timeout": "10m", "idle_timeout": "10m"}
GET = b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"
# A NewSessionTicket message of TLS 1.3 (RFC 8446 section 4.6.1): lifetime, age, nonce, ticket, no extensions.
TICKET = b"\x04\0\0\x0f" + bytes(4) + bytes(4) + b"\1n" + b"\0\1t" + b"\0\0"

# By name: the function that makes the next record, the versions that have such records, and who sends them ("both",
# "client", "server").
KINDS = {
    "key updates": (lambda end, hello: end.key_update(), ["TLS 1.3"], "both"),
    "key updates without an answer": (lambda end, hello: end.key_update(asks=False), ["TLS 1.3"], "both"),
    "warnings": (lambda end, hello: end.record(ALERT, b"\1\x5a"), VERSIONS, "both"),
    "empty records": (lambda end, hello: end.record(DATA, b""), VERSIONS, "both"),
    "padding alone": (lambda end, hello: end.record(DATA, b"", 16_000), ["TLS 1.3"], "both"),
    "bare changes of cipher": (lambda end, hello: b"\x14\x03\x03\0\1\1", VERSIONS, "both"),
    "changes of cipher": (lambda end, hello: end.record(CHANGE_CIPHER_SPEC, b"\1"), VERSIONS, "both"),
    "new handshakes": (lambda end, hello: end.record(HANDSHAKE, hello), VERSIONS, "client"),
    "requests of a new handshake": (lambda end, hello: end.record(HANDSHAKE, bytes(4)), VERSIONS, "server"),
    "tickets": (lambda end, hello: end.record(HANDSHAKE, TICKET), ["TLS 1.3"], "server"),
    "heartbeats": (lambda end, hello: end.record(24, b"\1\0\1x" + bytes(16)), VERSIONS, "both"),
    "an unknown type": (lambda end, hello: end.record(99, b"?"), VERSIONS, "both"),
}

# The first record of these kinds already ends the connection. In TLS 1.2 an unwanted renegotiation is only answered by
# a warning.
HANDSHAKES = ["new handshakes", "requests of a new handshake"]
NO_TLS = ["bare changes of cipher", "changes of cipher", "heartbeats", "an unknown type", *HANDSHAKES]


def kinds(who):
    return [pytest.param(name, version, id=f"{name}, {version}") for name, (_, versions, whose) in KINDS.items()
            for version in versions if whose in ("both", who)]


def flood_of(kind, end, hello=b""):
    make = KINDS[kind][0]
    return b"".join(make(end, hello) for _ in range(COUNT if kind != "padding alone" else COUNT // 25))


@pytest.fixture(scope="module")
def upstreams(certificate_files):
    """TLS servers of each version, whose behaviour each test sets."""
    servers = {}
    for name, version in VERSIONS.items():
        servers[name] = TLSServer(*certificate_files, lambda peer, name=name: servers[name].act(peer), version)
        servers[name].log_secrets()
    yield servers
    for server in servers.values():
        server.stop()


@pytest.fixture(scope="module")
def gateway(run_once, module_origin, upstreams, certificate_files):
    return run_once(
        [
            {"domain": "app.test", "upstreams": [module_origin.url]}, HONEST,
            *({"domain": domain(name), "upstreams": [server.url], "upstream_tls": {"ca_file": str(certificate_files[0])}}
              for name, server in upstreams.items()),
        ],
        gateway={"workers": 1, "limits": PATIENT})


def broken(gateway, peer):
    """How many connections with clients or upstreams broke, by the reason."""
    name = 'aegis_tls_connections_broken_total{peer="%s",reason="%s"}'
    return {reason: gateway.metric(name % (peer, reason)) for reason in ("flood", "alert", "malformed")}


def await_counted(gateway, peer, before, kind, version, count):
    """Waits until the metrics count `count` more connections that broke because of records of a kind."""
    reason = "malformed" if kind in NO_TLS and (version == "TLS 1.3" or kind not in HANDSHAKES) else "flood"
    expected = {**before, reason: before[reason] + count}
    eventually(f"{count} more of {reason}", lambda: broken(gateway, peer) == expected)


def domain(version):
    return version.lower().replace(" ", "").replace(".", "") + ".test"


@pytest.mark.parametrize("kind, version", kinds("client"))
def test_a_client_that_floods_is_cut_off(gateway, origin, kind, version, figures):
    origin.answers["/socket"], before = echo, broken(gateway, "client")
    with watched(gateway, f"{kind} of a client in {version}", figures):
        for first in (b"", GET[:-2], ASK.encode()):
            with RawTLS(gateway.https, version=VERSIONS[version]) as client:
                if first:
                    client.socket.sendall(client.data(first))
                if first == ASK.encode():
                    eventually("the tunnel", lambda: origin.requests)
                flood = flood_of(kind, client.sealer, client.client_hello)
                assert send_without_reading(client.socket, flood) or is_ended(client.socket)
    await_counted(gateway, "client", before, kind, version, 3)


# An upstream's first bytes, and what the client then gets: an error, a cut answer, or the end of a tunnel.
UPSTREAM_PHASES = {"error": b"", "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", "tunnel": AGREE}


@pytest.mark.parametrize("kind, version", kinds("server"))
def test_an_upstream_that_floods_is_cut_off(gateway, upstreams, kind, version, figures):
    before = broken(gateway, "upstream")
    with watched(gateway, f"{kind} of an upstream in {version}", figures):
        for phase, first in UPSTREAM_PHASES.items():
            flood_from_upstream(gateway, upstreams[version], domain(version), kind, phase, first)
    await_counted(gateway, "upstream", before, kind, version, len(UPSTREAM_PHASES))


def flood_from_upstream(gateway, upstream, host, kind, phase, first):
    ended = threading.Event()

    def act(peer):
        peer.request()
        end = peer.seal()
        peer.socket.sendall(end.data(first) if first else b"")
        send_without_reading(peer.socket, flood_of(kind, end))
        is_ended(peer.socket)
        ended.set()

    upstream.act = act
    with Client(gateway.http) as client:
        client.send((ASK if phase == "tunnel" else GET.decode()).replace("app.test", host))
        assert ended.wait(PATIENCE)
        if phase == "error":
            assert client.response().status == 502
        elif phase == "tunnel":
            assert client.response().status == 101
            assert client.is_closed()
        else:
            with pytest.raises((BrokenTransfer, ConnectionError)):
                client.response()


@pytest.mark.parametrize("kind, version", kinds("server"))
def test_an_idle_upstream_connection_with_records_is_closed(gateway, upstreams, kind, version):
    """The next request is answered on another connection."""
    ended = threading.Event()

    def act(peer):
        peer.request()
        end = peer.seal()
        peer.socket.sendall(end.data(OK))
        answered.wait(PATIENCE)
        send_without_reading(peer.socket, flood_of(kind, end))
        is_ended(peer.socket)
        ended.set()

    upstreams[version].act = act
    with Client(gateway.http) as client:
        for _ in range(2):
            answered = threading.Event()
            ended.clear()
            assert client.ask(f"POST / HTTP/1.1\r\nHost: {domain(version)}\r\nContent-Length: 1\r\n\r\nx").body == b"ok"
            answered.set()
            assert ended.wait(PATIENCE)


@pytest.mark.parametrize("version", VERSIONS)
def test_data_in_one_byte_records_with_empty_ones_between_arrives(gateway, upstreams, version):
    """A few records without data do not end a connection."""
    def act(peer):
        peer.request()
        end = peer.seal()
        peer.socket.sendall(b"".join(end.data(b"") + end.data(OK[at:at + 1]) for at in range(len(OK))))
        is_ended(peer.socket)

    upstreams[version].act = act
    with Client(gateway.http) as client:
        assert client.get(domain(version)).body == b"ok"
    with RawTLS(gateway.https, version=VERSIONS[version]) as client:
        request = GET.replace(b"app.test", b"honest.test")
        pieces = [request[at:at + 1] for at in range(len(request))]
        client.socket.sendall(b"".join(client.data(b"") + client.data(piece) for piece in pieces))
        answer = b""
        while not answer:
            assert client.receive()
            answer = client.read()
        assert answer.startswith(b"HTTP/1.1 421 ")  # the request names another host


# Nearly the largest client hello that OpenSSL accepts.
PADDING = b"\xfa\xfa\xff\x00" + bytes(0xff00)
BODY = b"\x03\x03" + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0" + len(PADDING).to_bytes(2) + PADDING
HELLO = b"\1" + len(BODY).to_bytes(3) + BODY
BETWEEN = {
    "of a byte": b"", "of a byte, empty ones between": b"\x16\x03\x01\0\0",
    "of a byte, changes of cipher between": b"\x14\x03\3\0\1\1"}


@pytest.mark.parametrize("records", BETWEEN)
def test_a_client_hello_in_many_records_delays_nobody(gateway, records, figures):
    flood = b"".join(b"\x16\x03\x01\0\1" + HELLO[at:at + 1] + BETWEEN[records] for at in range(len(HELLO)))
    with watched(gateway, f"client hellos in records {records}", figures):
        for _ in range(5):
            with Client(gateway.https) as client:
                assert send_without_reading(client.socket, flood) or is_ended(client.socket)


def test_a_server_hello_in_many_records_delays_nobody(run, figures):
    """Nearly the largest message that OpenSSL accepts from a server, in records of one byte."""
    hello = b"\2" + (20_000).to_bytes(3) + b"\x03\x03" + bytes(19_998)
    flood = b"".join(b"\x16\x03\x03\0\1" + hello[at:at + 1] for at in range(len(hello)))

    def act(peer):
        peer.read()
        send_without_reading(peer.socket, flood)
        is_ended(peer.socket)

    server = Server(act)
    url = server.url.replace("http:", "https:")
    gateway = run([{"domain": "app.test", "upstreams": [url]}, HONEST], gateway={"workers": 1})
    with watched(gateway, "server hellos in records of a byte", figures):
        for _ in range(5):
            with Client(gateway.http) as client:
                assert client.get().status == 502
    server.stop()


def test_many_session_tickets_at_once_are_no_flood(run, certificate_files):
    server = TLSServer(*certificate_files, honest, VERSIONS["TLS 1.3"])
    server.context.num_tickets = 200
    gateway = run(
        [{"domain": "app.test", "upstreams": [server.url], "upstream_tls": {"ca_file": str(certificate_files[0])}}],
        gateway={"workers": 1})
    with Client(gateway.http) as client:
        assert answers_in_turn(client)
    server.stop()
