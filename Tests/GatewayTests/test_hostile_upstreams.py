"""Upstreams that end, speak and stop where nobody expects it: each answer is whole or an error, and nobody else's."""

import contextlib
import os
import socket
import ssl
import threading

import pytest

from client import BrokenTransfer, Client
from gateway import eventually
from origin import OK
from process import held
from tls_server import TLSServer, make_certificate

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
SIZES = [1, 1000, 16_384, 65_000, 200_000]
VERSIONS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("upstream"))


@pytest.fixture(scope="module", params=VERSIONS)
def upstream(request, files):
    """A TLS server that each test tells what to do."""
    server = TLSServer(*files, lambda peer: server.act(peer), VERSIONS[request.param])
    yield server
    server.stop()


@pytest.fixture(scope="module")
def gateway(run_once, upstream, files):
    return run_once(
        [{"domain": "app.test", "upstreams": [upstream.url], "ca_file": str(files[0])}], gateway={"workers": 1})


# Ends over TLS.

@pytest.mark.parametrize("size", SIZES)
def test_a_close_that_comes_with_the_last_data_ends_a_whole_answer(gateway, upstream, size):
    body = os.urandom(size)

    def act(peer):
        peer.request()
        peer.say(HEAD).say(body).say_goodbye().push()

    upstream.act = act
    with Client(gateway.http) as client:
        for _ in range(10):
            assert client.get().body == body


@pytest.mark.parametrize("goodbye", ["in the next segment", "before the data is read", "alone, after a pause"])
def test_a_close_is_seen_wherever_it_comes(gateway, upstream, goodbye):
    body, arrived = os.urandom(100_000), threading.Event()

    def act(peer):
        peer.request()
        peer.say(HEAD).say(body).push()
        if goodbye == "alone, after a pause":
            arrived.wait(10)
        peer.say_goodbye().push()

    upstream.act = act
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        client.until(b"\r\n\r\n")
        client.more()
        arrived.set()
        assert client.chunks() == body


@pytest.mark.parametrize("end", ["FIN", "RST", "half a record", "a bad record"])
@pytest.mark.parametrize("size", [0, 10, 50_000])
def test_another_end_is_a_truncation(gateway, upstream, end, size):
    def act(peer):
        peer.request()
        peer.say(HEAD)
        if size:
            peer.say(os.urandom(size))
        if end == "half a record":
            peer.push().say(b"never whole").push(cut=3)
        elif end == "a bad record":
            peer.push(b"\x17\x03\x03\x00\x20" + bytes(32))
            peer.socket.recv(1)  # an alert, or the end
        else:
            peer.push()
        if end == "RST":
            peer.reset()

    upstream.act = act
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        with pytest.raises((BrokenTransfer, ConnectionError)):
            response = client.response()
            # Nothing of the answer had gone on.
            assert response.status == 502
            raise ConnectionError
    gateway.await_log("no answer from", upstream.url)


@pytest.mark.parametrize("last", ["goodbye", "a bad record"])
def test_no_connection_is_kept_that_has_ended_behind_its_answer(gateway, upstream, last):
    def act(peer):
        peer.request()
        peer.say(OK)
        if last == "goodbye":
            peer.say_goodbye().push()
        else:
            peer.push(b"\x17\x03\x03\x00\x20" + bytes(32))
        while peer.socket.recv(65536):
            pass

    upstream.act = act
    before = upstream.connections
    with Client(gateway.http) as client:
        for _ in range(5):
            # One that is not idempotent, which would not be repeated.
            assert client.ask("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nhi").body == b"ok"
    assert upstream.connections == before + 5


def test_an_answer_that_comes_with_the_handshake_is_none(run, files):
    """Over TLS 1.2, where a server's last word comes before the request. TLS 1.3 lets a server speak before the client's
    last message, which leaves with the request: nobody can tell what its first answer is for."""
    server = TLSServer(*files, lambda peer: peer.request(), VERSIONS["TLS 1.2"])
    server.greeting = OK
    gateway = run([{"domain": "app.test", "upstreams": [server.url], "ca_file": str(files[0])}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        for _ in range(5):
            assert client.get().status == 502
    gateway.await_log("sent something", "before the request")
    server.stop()


# Bytes that nobody has asked for.

@pytest.mark.parametrize("greeting", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nothers", b"220 mail.test ESMTP\r\n", b"\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"",
], ids=["answer", "another protocol", "empty line", "interim", "the end"])
def test_what_comes_before_the_request_is_no_answer(run, greeting):
    """The connection is up only when the gateway stands still, so that its server speaks before the gateway looks. What
    comes later may be on its way when the request leaves, and can't be told from its answer."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        gateway = run([{"domain": "app.test", "upstreams": [f"http://127.0.0.1:{address[1]}"]}], gateway={"workers": 1})
        # Its queue is full: the next one's first segment is lost, and comes again a second later.
        waiting.enter_context(socket.create_connection(address))
        with Client(gateway.http) as client:
            client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
            eventually("an attempt to connect", lambda: gateway.metric("aegis_upstream_connections_total") == 1)
            with held(gateway.process.pid):
                waiting.enter_context(listener.accept()[0])
                accepted = waiting.enter_context(listener.accept()[0])
                accepted.sendall(greeting) if greeting else accepted.close()
            assert client.response().status == 502
    gateway.await_log("sent something", "before the request")


@pytest.mark.parametrize("interim", [b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_interim_answers_without_end_are_ended(run, make_origin, interim):
    origin = make_origin()

    def forever(connection, request):
        while True:
            connection.send(interim * 100)

    def some(connection, request):
        connection.send(interim * 500 + OK)

    origin.answers.update({"/forever": forever, "/some": some})
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        response = client.get(path="/some")
        assert response.status == 200 and len(response.interim) == (500 if b"102" in interim else 0)
        assert client.get(path="/forever").status == 502
    gateway.await_log("no answer from", "one interim answer after the other")
