"""Upstreams that end a TLS connection: at a close_notify an answer is complete, and at any other end it is truncated."""

import os
import threading

import pytest

from client import BrokenTransfer, Client
from origin import OK
from tls_records import VERSIONS
from tls_server import TLSServer

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
SIZES = [1, 1000, 16_384, 65_000, 200_000]


@pytest.fixture(scope="module", params=VERSIONS)
def upstream(request, certificate_files):
    """A TLS server whose behaviour each test sets."""
    server = TLSServer(*certificate_files, lambda peer: server.act(peer), VERSIONS[request.param])
    yield server
    server.stop()


@pytest.fixture(scope="module")
def gateway(run_once, upstream, certificate_files):
    return run_once(
        [{"domain": "app.test", "upstreams": [upstream.url], "upstream_tls": {"ca_file": str(certificate_files[0])}}],
        gateway={"workers": 1})


@pytest.mark.parametrize("size", SIZES)
def test_a_close_together_with_the_last_data_ends_a_complete_answer(gateway, upstream, size):
    body = os.urandom(size)

    def act(peer):
        peer.request()
        peer.say(HEAD).say(body).say_goodbye().push()

    upstream.act = act
    with Client(gateway.http) as client:
        for _ in range(10):
            assert client.get().body == body


@pytest.mark.parametrize("goodbye", ["in the next segment", "before the data is read", "alone, after a pause"])
def test_a_close_is_noticed_at_each_place(gateway, upstream, goodbye):
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
def test_any_other_end_counts_as_truncation(gateway, upstream, end, size):
    def act(peer):
        peer.request()
        peer.say(HEAD)
        if size:
            peer.say(os.urandom(size))
        if end == "half a record":
            peer.push().say(b"never whole").push(cut=3)
        elif end == "a bad record":
            peer.push(b"\x17\x03\x03\x00\x20" + bytes(32))
            peer.socket.recv(1)  # an alert, or the end of the connection
        else:
            peer.push()
        if end == "RST":
            peer.reset()

    upstream.act = act
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        with pytest.raises((BrokenTransfer, ConnectionError)):
            response = client.response()
            # No byte of the answer had been passed on.
            assert response.status == 502
            raise ConnectionError
    gateway.await_log("no answer from", upstream.url)


@pytest.mark.parametrize("last", ["goodbye", "a bad record"])
def test_a_connection_closed_after_its_answer_is_not_kept(gateway, upstream, last):
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
            # The method is not idempotent, so the request would not be repeated.
            assert client.ask("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nhi").body == b"ok"
    assert upstream.connections == before + 5
