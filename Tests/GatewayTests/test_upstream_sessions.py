"""TLS sessions with upstreams: a new connection resumes one, as long as a full handshake would have the same result."""

import socket
import ssl

import pytest

from authority import SERVER, Holder, pem
from client import Client
from clocks import needs_faketime
from gateway import eventually
from origin import Origin
from test_identities import files, node, replace_private, write

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
CLOSING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

root, other = Holder("root", is_ca=True), Holder("other root", is_ca=True)
leaf = Holder("leaf", root, names=["127.0.0.1", "up.test", "twin.test"], purposes=[SERVER])


def resumes(connection, _):
    """An answer that ends the connection, and says whether that has resumed a session."""
    is_resumed = connection.socket.session_reused
    connection.send(CLOSING.replace(b"ok", b"re" if is_resumed else b"no"))


def server(path, version=None, holder=leaf, *above):
    settings = holder.server(path, *above)
    if version:
        settings.minimum_version = settings.maximum_version = VERSIONS[version]
    return settings


@pytest.fixture
def make_upstream(make_origin, tmp_path):
    def make(version=None, holder=leaf, *above):
        origin = make_origin(tls=server(tmp_path / "leaf.pem", version, holder, *above))
        origin.answer = resumes
        return origin

    return make


@pytest.fixture
def serve(run, tmp_path):
    """A gateway of one worker, which has a host for each upstream."""
    def start(*upstreams, wrapper=(), **settings):
        (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
        settings = {"ca_file": str(tmp_path / "ca.pem"), **settings}
        return run([
            {"domain": f"app{number}.test", "upstreams": [upstream.url], "upstream_tls": settings}
            for number, upstream in enumerate(upstreams)], gateway={"workers": 1}, wrapper=wrapper)

    return start


def is_resumed(gateway, host="app0.test"):
    with Client(gateway.http) as client:
        answer = client.get(host)
    assert answer.status == 200, gateway.await_log(answer["X-Request-Id"])
    return answer.body == b"re"


def handshakes(gateway):
    return [int(gateway.metric(f'aegis_upstream_tls_handshakes_total{{kind="{kind}"}}')) for kind in ("full", "resumed")]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_new_connection_resumes_a_session(serve, make_upstream, version):
    gateway = serve(make_upstream(version))
    assert [is_resumed(gateway) for _ in range(5)] == [False, True, True, True, True]
    assert handshakes(gateway) == [1, 4]


@pytest.mark.parametrize("version", VERSIONS)
def test_simultaneous_connections_resume_sessions(serve, make_upstream, version):
    """In TLS 1.3, each has a session of its own, or none."""
    upstream = make_upstream(version)
    gateway = serve(upstream)
    for _ in range(3):
        before = len(upstream.requests)
        clients = [Client(gateway.http) for _ in range(4)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: app0.test\r\n\r\n")
        assert [client.response().status for client in clients] == [200] * 4
        for client in clients:
            client.close()
        assert len(upstream.requests) == before + 4
    full, resumed = handshakes(gateway)
    assert full + resumed == 12 and resumed >= 8 and upstream.faults == []


@pytest.mark.parametrize("version", VERSIONS)
def test_an_upstream_without_the_session_makes_a_full_handshake(serve, make_upstream, tmp_path, version):
    """No request fails, and none is tried again."""
    upstream = make_upstream(version)
    gateway = serve(upstream)
    assert [is_resumed(gateway) for _ in range(2)] == [False, True]
    upstream.stop()
    again = Origin(tls=server(tmp_path / "again.pem", version), at=("127.0.0.1", upstream.port))
    again.answer = resumes
    try:
        assert [is_resumed(gateway) for _ in range(3)] == [False, True, True]
        assert gateway.metric("aegis_upstream_retries_total") == 0
    finally:
        again.stop()


@pytest.mark.parametrize("former, version", [("1.2", "1.3"), ("1.3", "1.2")])
def test_an_upstream_may_change_its_version(serve, make_upstream, tmp_path, former, version):
    upstream = make_upstream(former)
    gateway = serve(upstream)
    assert [is_resumed(gateway) for _ in range(2)] == [False, True]
    upstream.tls = server(tmp_path / "other.pem", version)
    assert [is_resumed(gateway) for _ in range(3)] == [False, True, True]


def offers_session(hello):
    """Whether a client hello of TLS 1.3 has the extension pre_shared_key (41), which comes last (RFC 8446 section
    4.2.11)."""
    place = 5 + 4 + 2 + 32
    place += 1 + hello[place]
    place += 2 + int.from_bytes(hello[place:place + 2], "big")
    place += 1 + hello[place] + 2
    kinds = []
    while place < len(hello):
        kinds.append(int.from_bytes(hello[place:place + 2], "big"))
        place += 4 + int.from_bytes(hello[place + 2:place + 4], "big")
    return 41 in kinds


class Intolerant(Origin):
    """A server that breaks off each handshake that offers a session, instead of making a full handshake."""

    broken = 0

    def _serve(self, connection):
        if offers_session(connection.socket.recv(16384, socket.MSG_PEEK)):
            self.broken += 1
            return connection.socket.close()
        super()._serve(connection)


def test_a_handshake_that_breaks_with_a_session_is_repeated_without_it(serve, tmp_path):
    upstream = Intolerant(tls=server(tmp_path / "leaf.pem", "1.3"))
    upstream.answer = resumes
    try:
        gateway = serve(upstream)
        assert [is_resumed(gateway) for _ in range(3)] == [False] * 3
        assert upstream.broken == 2 and gateway.metric("aegis_upstream_retries_total") == 2
        assert handshakes(gateway) == [3, 0]
        # Failed resumptions do not eject the upstream.
        assert gateway.metric("aegis_upstream_ejections_total") == 0
    finally:
        upstream.stop()


@pytest.mark.parametrize("version", VERSIONS)
def test_hosts_with_other_settings_share_no_session(run, make_upstream, tmp_path, version):
    """The hosts use one upstream with different server names, CAs, identities or required SANs."""
    upstream = make_upstream(version)
    folder = tmp_path / "gateway0"
    folder.mkdir()
    write(folder, node(root), (root,))
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    (tmp_path / "both.pem").write_bytes(pem(root.certificate, other.certificate))
    base = {"ca_file": str(tmp_path / "ca.pem")}
    settings = [
        base, {**base, "server_name": "up.test"}, {**base, "server_name": "twin.test"},
        {"ca_file": str(tmp_path / "both.pem")}, {**base, "identity": "mesh"}, {**base, "required_sans": ["up.test"]}]
    gateway = run(
        [{"domain": f"app{number}.test", "upstreams": [upstream.url], "upstream_tls": one}
         for number, one in enumerate(settings)], identities=files(), gateway={"workers": 1})
    for number in range(len(settings)):
        assert [is_resumed(gateway, f"app{number}.test") for _ in range(2)] == [False, True], settings[number]


def new_cas(gateway, tmp_path):
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate, other.certificate))


def another_name(gateway, tmp_path):
    gateway.host("app0.test")["upstream_tls"]["server_name"] = "twin.test"
    gateway.reload()


def new_identity(gateway, tmp_path):
    renewed = node(root)
    folder = tmp_path / "gateway0"
    replace_private(folder / "node.key", renewed.key_pem)
    replace_private(folder / "node.crt", pem(renewed.certificate))


def no_identity(gateway, tmp_path):
    del gateway.host("app0.test")["upstream_tls"]["identity"]
    gateway.reload()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("change", [new_cas, another_name, new_identity, no_identity])
def test_a_change_of_the_settings_ends_sessions(run, make_upstream, tmp_path, version, change):
    upstream = make_upstream(version)
    upstream.tls.load_verify_locations(cadata=pem(root.certificate).decode())
    upstream.tls.verify_mode = ssl.CERT_OPTIONAL
    folder = tmp_path / "gateway0"
    folder.mkdir()
    write(folder, node(root), (root,))
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    settings = {"ca_file": str(tmp_path / "ca.pem"), "server_name": "up.test", "identity": "mesh"}
    gateway = run(
        [{"domain": "app0.test", "upstreams": [upstream.url], "upstream_tls": settings}], identities=files(),
        gateway={"workers": 1})
    assert [is_resumed(gateway) for _ in range(3)] == [False, True, True]
    change(gateway, tmp_path)
    eventually("a full handshake", lambda: not is_resumed(gateway), pause=0.1)
    assert [is_resumed(gateway) for _ in range(2)] == [True, True]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_resumed_session_keeps_the_client_certificate_at_the_upstream(run, make_upstream, tmp_path, version):
    upstream = make_upstream(version)
    upstream.tls.load_verify_locations(cadata=pem(root.certificate).decode())
    upstream.tls.verify_mode = ssl.CERT_REQUIRED
    shown = []

    def answer(connection, request):
        shown.append(connection.socket.getpeercert()["subject"])
        resumes(connection, request)

    upstream.answer = answer
    folder = tmp_path / "gateway0"
    folder.mkdir()
    write(folder, node(root), (root,))
    gateway = run(
        [{"domain": "app0.test", "upstreams": [upstream.url], "upstream_tls": {"identity": "mesh"}}],
        identities=files(), gateway={"workers": 1})
    assert [is_resumed(gateway) for _ in range(3)] == [False, True, True]
    assert shown == [((("commonName", "node"),),)] * 3


SOON = 1 / 24
ENDS = {
    "the server's certificate": (Holder("leaf", root, names=["127.0.0.1"], days=(-1, SOON)), (), root),
    "the issuing CA": (
        Holder("leaf", soon := Holder("soon", root, is_ca=True, days=(-1, SOON)), names=["127.0.0.1"]), (soon,), root),
    "the root": (
        Holder("leaf", short := Holder("short", is_ca=True, days=(-1, SOON)), names=["127.0.0.1"]), (), short),
}


@needs_faketime
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("title", ENDS)
def test_sessions_end_with_their_certificates(run, make_upstream, tmp_path, clock, version, title):
    holder, above, trusted = ENDS[title]
    upstream = make_upstream(version, holder, *above)
    (tmp_path / "ca.pem").write_bytes(pem(trusted.certificate))
    gateway = run(
        [{"domain": "app0.test", "upstreams": [upstream.url], "upstream_tls": {"ca_file": str(tmp_path / "ca.pem")}}],
        gateway={"workers": 1}, wrapper=clock.wrapper)
    clock.set(1800)
    assert [is_resumed(gateway) for _ in range(3)] == [False, True, True]
    # The session is younger than an hour.
    clock.set(3700)
    eventually("the end of trust", lambda: refusal(gateway) is not None, pause=0.1)
    assert "has expired" in refusal(gateway)


def refusal(gateway):
    """The log's line about a request that no upstream has answered."""
    with Client(gateway.http) as client:
        answer = client.get("app0.test")
    return gateway.await_log("no answer from", answer["X-Request-Id"]) if answer.status == 502 else None


@needs_faketime
@pytest.mark.parametrize("version", VERSIONS)
def test_there_is_a_full_handshake_each_hour(serve, make_upstream, clock, version):
    """The hour counts from the last full handshake, however often sessions are resumed meanwhile."""
    gateway = serve(make_upstream(version), wrapper=clock.wrapper)
    assert not is_resumed(gateway)
    for minutes in range(10, 60, 10):
        clock.set(60 * minutes)
        assert is_resumed(gateway)
    clock.set(3700)
    eventually("a full handshake", lambda: not is_resumed(gateway), pause=0.1)
    assert is_resumed(gateway)
