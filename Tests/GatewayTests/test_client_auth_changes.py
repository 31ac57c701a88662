"""Rules for clients' certificates that change: open connections and tunnels follow them."""

import pytest

from authority import pem, revocation_list
from client import Client
from client_auth import (
    LOCAL, VERSIONS, ask, certified, connect, context, in_force, issuing, leaf, changing_gateway, mate, refusals, replace,
    root, stranger)
from clocks import needs_faketime
from gateway import eventually

changing = pytest.fixture(changing_gateway)

CHANGES = {
    "another authority": ("ca.pem", lambda holder: pem(stranger.certificate), False),
    "one authority more": ("ca.pem", lambda holder: pem(root.certificate, stranger.certificate), True),
    "the same file again": ("ca.pem", lambda holder: pem(root.certificate), True),
    "a list that revokes it": ("root.crl", lambda holder: revocation_list(root, holder, number=2), False),
    "a list that revokes another": ("root.crl", lambda holder: revocation_list(root, mate, number=2), True),
}


@VERSIONS
@pytest.mark.parametrize("what", CHANGES)
def test_open_connections_follow_changed_files(changing, tmp_path, what, version):
    file, content, stays = CHANGES[what]
    holder = leaf()
    settings = context(holder, folder=tmp_path, version=version)
    with connect(changing, settings, "any.test") as client:
        assert client.get("any.test").status == 200
        session = client.socket.session
        replace(tmp_path / file, content(holder))
        if stays and what != "the same file again":
            # A second client shows that the change is in force.
            other = (leaf(stranger), False) if "authority" in what else (mate, True)
            in_force(changing, context(other[0], folder=tmp_path, version=version), None if other[1] else 200)
        elif not stays:
            in_force(changing, settings, None)
        response = client.get("any.test")
        assert response.status == (200 if stays else 421)
        if not stays:
            assert response["Connection"] == "close" and client.is_closed()
    if not stays:
        assert isinstance(ask(changing, settings, "any.test", session=session)[0], str)


@VERSIONS
def test_a_session_that_can_not_be_verified_again_leads_to_a_full_handshake(changing, tmp_path, version):
    """A resumed session has only the client's own certificate; a new handshake has its intermediates again."""
    settings = context(leaf(issuing), (issuing,), tmp_path, version)
    _, _, session = ask(changing, settings, "any.test")
    with connect(changing, settings, "any.test", session) as client:
        assert client.socket.session_reused and client.get("any.test").status == 200
        replace(tmp_path / "root.crl", revocation_list(root, mate, number=2))
        in_force(changing, context(mate, folder=tmp_path, version=version), None)
        counted = refusals(changing, "any.test", "unknown_authority")
        assert client.get("any.test").status == 421 and client.is_closed()
    assert ask(changing, settings, "any.test", session=session)[:2] == (200, False)
    assert refusals(changing, "any.test", "unknown_authority") == counted


@VERSIONS
def test_open_connections_follow_changed_rules(changing, tmp_path, version):
    settings = context(leaf(names=["a.clients.test"]), folder=tmp_path, version=version)
    with connect(changing, settings, "any.test") as client:
        assert client.get("any.test").status == 200
        changing.config["hosts"][0]["client_auth"]["required_sans"] = ["*.clients.test"]
        changing.reload()
        assert client.get("any.test").status == 200
        changing.config["hosts"][0]["client_auth"]["required_sans"] = ["*.others.test"]
        changing.reload()
        assert client.get("any.test").status == 421 and client.is_closed()
    del changing.config["hosts"][0]["client_auth"]
    changing.reload()
    bare = context(version=version)
    with connect(changing, bare, "any.test") as client:
        assert client.get("any.test").status == 200
        session = client.socket.session
        changing.config["hosts"][0]["client_auth"] = {"ca_file": str(tmp_path / "ca.pem")}
        changing.reload()
        assert client.get("any.test").status == 421 and client.is_closed()
    assert isinstance(ask(changing, bare, "any.test", session=session)[0], str)
    changing.config["hosts"][0]["client_auth"]["mode"] = "optional"
    changing.reload()
    with connect(changing, bare, "any.test") as client:
        assert client.get("any.test").status == 200
        changing.config["hosts"][0]["client_auth"]["mode"] = "require"
        changing.reload()
        assert client.get("any.test").status == 421 and client.is_closed()


@needs_faketime
@VERSIONS
@pytest.mark.parametrize("what", ["overdue", "begun"])
def test_a_session_is_not_resumed_when_a_list_above_its_certificate_has_turned(
        run, make_origin, clock, tmp_path, what, version):
    """Threat: resumed sessions pass although a full handshake is refused, again and again with each new ticket. A resumed
    session has only the client's own certificate, and the list is of the CA above it."""
    second = 1 / 86400
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    # A list may begin five minutes before its time of issue.
    (tmp_path / "root.crl").write_bytes(
        revocation_list(root, days=(-1, 600 * second)) if what == "overdue"
        else revocation_list(root) + revocation_list(root, issuing, days=(900 * second, 9), number=2))
    gateway = run([certified("any.test", upstreams=[make_origin().url], client_auth={
        "ca_file": str(tmp_path / "ca.pem"), "crl_files": [str(tmp_path / "root.crl")]})], gateway={"workers": 1}, **LOCAL)
    gateway.stop()
    gateway.start(*clock.wrapper)
    settings = context(leaf(issuing), (issuing,), tmp_path, version)
    _, _, session = ask(gateway, settings, "any.test")
    status, is_resumed, session = ask(gateway, settings, "any.test", session=session)
    assert (status, is_resumed) == (200, True)
    clock.set(660)
    in_force(gateway, settings, None)
    status, _, session = ask(gateway, settings, "any.test", session=session)
    assert isinstance(status, str), "the session was resumed"
    eventually("the refusals", lambda: refusals(gateway, "any.test", "list_overdue" if what == "overdue" else "revoked") >= 2)


SOCKET = (
    "GET /socket HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def echo(connection, request):
    """Agrees to the upgrade, then sends all bytes back."""
    connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    while connection.buffer or connection.more():
        data = bytes(connection.buffer)
        connection.buffer.clear()
        connection.send(data)
    return False


def open_socket(client, host="any.test"):
    assert client.ask(SOCKET.format(host)).status == 101
    return client


def is_passed_on(client):
    client.send(b"hello")
    return client.exactly(5) == b"hello"


@VERSIONS
@pytest.mark.parametrize("what", CHANGES)
def test_open_tunnels_follow_changed_files(run, make_origin, tmp_path, what, version):
    """Threat: a client that was accepted once keeps its tunnel after its certificate is no longer accepted."""
    origin = make_origin()
    origin.answers["/socket"] = echo
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    (tmp_path / "root.crl").write_bytes(revocation_list(root))
    gateway = run([certified("any.test", upstreams=[origin.url], client_auth={
        "ca_file": str(tmp_path / "ca.pem"), "crl_files": [str(tmp_path / "root.crl")]})], **LOCAL)
    file, content, stays = CHANGES[what]
    holder = leaf()
    settings = context(holder, folder=tmp_path, version=version)
    with open_socket(connect(gateway, settings, "any.test")) as client:
        assert is_passed_on(client)
        replace(tmp_path / file, content(holder))
        if not stays:
            assert client.is_closed()
            gateway.await_log("a client's certificate was refused", "host=any.test")
            return
        if what != "the same file again":
            gateway.await_log("verified by other CAs or revocation lists now")
            in_force(gateway, settings, 200)
        assert is_passed_on(client)


def test_open_tunnels_follow_changed_rules(run, make_origin, tmp_path):
    origin = make_origin()
    origin.answers["/socket"] = echo
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    gateway = run([certified("any.test", upstreams=[origin.url])], **LOCAL)
    host = gateway.config["hosts"][0]
    wanted, unwanted = (context(leaf(names=[f"{name}.clients.test"]), folder=tmp_path) for name in "ab")
    with open_socket(connect(gateway, context(), "any.test")) as bare, open_socket(Client(gateway.http)) as plain:
        assert is_passed_on(bare) and is_passed_on(plain)
        host["client_auth"] = {"ca_file": str(tmp_path / "ca.pem"), "mode": "optional"}
        gateway.reload()
        # A handshake that asked for no certificate is not enough for a host that asks for one.
        assert bare.is_closed() and is_passed_on(plain)
        host["client_auth"]["mode"] = "require"
        gateway.reload()
        assert plain.is_closed()
    with open_socket(connect(gateway, wanted, "any.test")) as kept, open_socket(connect(gateway, unwanted, "any.test")) as cut:
        assert is_passed_on(kept) and is_passed_on(cut)
        host["client_auth"]["required_sans"] = ["a.clients.test"]
        gateway.reload()
        assert cut.is_closed() and is_passed_on(kept)
        host["timeouts"] = {"read": "31s"}
        gateway.reload()
        assert is_passed_on(kept)


def _move(hosts, tmp_path):
    hosts[0]["aliases"] = []
    hosts.append(certified(
        "open.test", upstreams=hosts[0]["upstreams"], client_auth={"ca_file": str(tmp_path / "ca.pem")}))


# What happens to the host, the host of the tunnel, and whether the tunnel stays.
HOST_CHANGES = {
    "the host is removed": (lambda hosts, _: hosts.pop(0), "any.test", False),
    "the alias is removed": (lambda hosts, _: hosts[0].update(aliases=[]), "open.test", False),
    "another alias is removed": (lambda hosts, _: hosts[0].update(aliases=[]), "any.test", True),
    "the alias moves to a host of its own": (_move, "open.test", False),
    "a host takes a name from the wildcard": (
        lambda hosts, _: hosts.append(certified("a.wild.test", upstreams=hosts[0]["upstreams"])), "a.wild.test", False),
    "a host takes another name from the wildcard": (
        lambda hosts, _: hosts.append(certified("a.wild.test", upstreams=hosts[0]["upstreams"])), "b.wild.test", True),
    "another host is removed": (lambda hosts, _: hosts.pop(), "any.test", True),
}


@pytest.mark.parametrize("what", HOST_CHANGES)
def test_open_tunnels_follow_the_name_of_their_host(run, make_origin, tmp_path, what):
    """Threat: nobody follows the rules by which a tunnel was opened, since its name no longer leads to the host with them."""
    origin = make_origin()
    origin.answers["/socket"] = echo
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    asking = {"upstreams": [origin.url], "client_auth": {"ca_file": str(tmp_path / "ca.pem")}}
    names = ["any.test", "open.test", "*.wild.test"]
    gateway = run(
        [certified("any.test", aliases=["open.test"], **asking), certified("*.wild.test", **asking),
         certified("last.test", respond={"status": 200})],
        issuers=LOCAL["issuers"], certificates={"all": {"issuer": "lan", "domains": [*names, "last.test"]}})
    change, name, stays = HOST_CHANGES[what]
    settings = context(leaf(), folder=tmp_path)
    with open_socket(connect(gateway, settings, name), name) as client, open_socket(
            connect(gateway, settings, name), name.upper()) as second:
        assert is_passed_on(client) and is_passed_on(second)
        change(gateway.config["hosts"], tmp_path)
        gateway.reload()
        for tunnel in (client, second):
            assert is_passed_on(tunnel) if stays else tunnel.is_closed()


def test_the_tunnel_of_a_removed_host_that_asked_for_no_certificate_stays(run, make_origin, tmp_path):
    origin = make_origin()
    origin.answers["/socket"] = echo
    gateway = run([certified("any.test", upstreams=[origin.url]), certified("open.test", respond={"status": 200})], **LOCAL)
    with open_socket(connect(gateway, context(), "any.test")) as client:
        assert is_passed_on(client)
        gateway.config["hosts"].pop(0)
        gateway.reload()
        assert is_passed_on(client)


@needs_faketime
@pytest.mark.parametrize("what", ["the certificate", "the list", "nothing", "the certificate, which is accepted"])
def test_open_tunnels_end_when_their_proof_does(run, make_origin, clock, tmp_path, what):
    """Threat: a connection outlives the certificate by which it was opened."""
    minute = (-1, 60 / 86400)
    origin = make_origin()
    origin.answers["/socket"] = echo
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    (tmp_path / "root.crl").write_bytes(revocation_list(root, days=minute if what == "the list" else (-1, 9)))
    gateway = run([certified("any.test", upstreams=[origin.url], client_auth={
        "ca_file": str(tmp_path / "ca.pem"), "crl_files": [str(tmp_path / "root.crl")],
        "allow_expired": "accepted" in what})], gateway={"workers": 1}, **LOCAL)
    gateway.stop()
    gateway.start(*clock.wrapper)
    holder = leaf(days=minute if "certificate" in what else (-1, 9))
    with open_socket(connect(gateway, context(holder, folder=tmp_path), "any.test")) as client:
        assert is_passed_on(client)
        clock.set(62)
        if what in ("the certificate", "the list"):
            assert client.is_closed()
            gateway.await_log("a client's certificate was refused", "host=any.test")
        else:
            # The worker's report of this answer shows that the worker has noticed the new time.
            Client(gateway.http).get("any.test")
            eventually("the count", lambda: 'aegis_host_requests_total{host="any.test",class="4xx"}' in gateway.ask("/metrics")[1])
            assert is_passed_on(client)
