"""Rules for clients' certificates that change: connections of HTTP/2 follow them."""

import pytest

from authority import pem, revocation_list
from client_auth import (
    VERSIONS, changing_gateway, context, in_force, issuing, leaf, mate, refusals, replace, root, stranger)
from gateway import settled
from http2_client import DATA, GOAWAY, HEADERS, NO_ERROR, FrameClient, Http2Client, data, headers, request
from test_client_auth_changes import CHANGES
from test_http2_websocket import echo

changing = pytest.fixture(changing_gateway)


def settings_of(holder=None, above=(), folder=None, version=None):
    settings = context(holder, above, folder, version)
    settings.set_alpn_protocols(["h2"])
    return settings


def connect(gateway, settings, session=None):
    return Http2Client(gateway.https, "any.test", settings, session=session)


def ask(client):
    return client.ask(host="any.test").status


def is_refused(client):
    """Whether a request gets 421, and the connection then ends."""
    return ask(client) == 421 and set(client.await_end()) == {NO_ERROR}


@VERSIONS
@pytest.mark.parametrize("what", [what for what in CHANGES if what != "the same file again"])
def test_open_connections_follow_changed_files(changing, tmp_path, what, version):
    file, content, stays = CHANGES[what]
    holder = leaf()
    with connect(changing, settings_of(holder, folder=tmp_path, version=version)) as client:
        assert ask(client) == 200
        replace(tmp_path / file, content(holder))
        if not stays:
            in_force(changing, context(holder, folder=tmp_path, version=version), None)
            assert is_refused(client)
            return
        # A second client shows that the change is in force.
        other, status = (leaf(stranger), 200) if "authority" in what else (mate, None)
        in_force(changing, context(other, folder=tmp_path, version=version), status)
        assert [ask(client), ask(client)] == [200, 200] and not client.goaways


@VERSIONS
def test_a_session_that_can_not_be_verified_again_ends_its_connection(changing, tmp_path, version):
    """A resumed session has only the client's own certificate, so that only a new handshake can help."""
    settings = settings_of(leaf(issuing), (issuing,), tmp_path, version)
    with connect(changing, settings) as client:
        assert ask(client) == 200
        session = client.socket.session
    with connect(changing, settings, session) as client:
        assert client.socket.session_reused and ask(client) == 200
        replace(tmp_path / "root.crl", revocation_list(root, mate, number=2))
        in_force(changing, context(mate, folder=tmp_path, version=version), None)
        assert is_refused(client)
    assert refusals(changing, "any.test", "unknown_authority") == 0
    with connect(changing, settings) as client:
        assert ask(client) == 200


@VERSIONS
def test_open_connections_follow_changed_rules(changing, tmp_path, version):
    host = changing.config["hosts"][0]
    with connect(changing, settings_of(leaf(), folder=tmp_path, version=version)) as client:
        assert ask(client) == 200
        host["client_auth"]["required_sans"] = ["*.others.test"]
        changing.reload()
        assert is_refused(client)
    del host["client_auth"]
    changing.reload()
    bare = settings_of(version=version)
    with connect(changing, bare) as client:
        assert ask(client) == 200
        host["client_auth"] = {"ca_file": str(tmp_path / "ca.pem")}
        changing.reload()
        assert is_refused(client)
    host["client_auth"]["mode"] = "optional"
    changing.reload()
    with connect(changing, bare) as client:
        assert ask(client) == 200
        host["client_auth"]["mode"] = "require"
        changing.reload()
        assert is_refused(client)


def counted(gateway, reason):
    """The refusals with this reason. Workers report them each second."""
    return settled("the refusals", lambda: refusals(gateway, "any.test", reason), looks=200)


def revoke(gateway, folder, holder):
    replace(folder / "root.crl", revocation_list(root, holder, number=2))
    in_force(gateway, context(holder, folder=folder), None)
    return counted(gateway, "revoked")


def test_a_connection_has_one_refusal_for_all_its_streams(changing, tmp_path):
    """Threat: a revoked client that makes the gateway verify its chain, and count and log it, with each stream."""
    holder = leaf()
    with FrameClient(changing.https, "any.test", settings_of(holder, folder=tmp_path)) as client:
        client.send(headers(1, *request(host="any.test")))
        assert client.status(1) == 200
        before = revoke(changing, tmp_path, holder)
        client.send(*(headers(stream, *request(host="any.test")) for stream in range(3, 43, 2)))
        client.to_end()
        statuses = {f.stream_id: dict(f.fields)[":status"] for f in client.frames if f.type == HEADERS and f.stream_id > 1}
        goaway = next(f for f in client.frames if f.type == GOAWAY)
        assert statuses == {stream: "421" for stream in range(3, goaway.last_stream_id + 1, 2)}
        assert goaway.error_code == NO_ERROR
    assert counted(changing, "revoked") == before + 1


def test_streams_under_way_end_whole_when_the_certificate_is_refused(changing, make_origin, tmp_path):
    origin = make_origin()
    changing.config["hosts"][0]["upstreams"] = [origin.url]
    changing.reload()
    holder = leaf()
    with connect(changing, settings_of(holder, folder=tmp_path)) as client:
        upload = client.begin("/upload", host="any.test", body=b"hello", ends=False)
        client.ping()
        revoke(changing, tmp_path, holder)
        assert ask(client) == 421
        client.until(lambda: client.goaways)
        client.add(upload, b"world", ends=True)
        assert client.answer(upload).status == 200 and origin.last.body == b"helloworld"
        assert set(client.await_end()) == {NO_ERROR}


def test_the_tunnels_of_a_connection_have_one_refusal(changing, make_origin, tmp_path):
    origin = make_origin()
    origin.answers["/socket"] = echo
    changing.config["hosts"][0]["upstreams"] = [origin.url]
    changing.reload()
    holder = leaf()
    streams = range(1, 7, 2)
    with FrameClient(changing.https, "any.test", settings_of(holder, folder=tmp_path)) as client:
        for stream in streams:
            socket = [(":protocol", "websocket"), ("sec-websocket-version", "13")]
            client.send(headers(stream, *request("CONNECT", "/socket", "any.test"), *socket, end=False), data(stream, b"hello"))
            assert client.until(lambda f: f.stream_id == stream and f.type == DATA).data == b"hello"
        replace(tmp_path / "root.crl", revocation_list(root, holder, number=2))
        open_streams = set(streams)
        while open_streams:
            open_streams -= {client.until(lambda f: f.stream_id in open_streams and "END_STREAM" in f.flags).stream_id}
        client.send(headers(7, *request(host="any.test")))
        assert client.status(7) == 421 and client.to_end() == NO_ERROR
    assert counted(changing, "revoked") == 1
