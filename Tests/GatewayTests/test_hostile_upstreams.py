"""Upstreams that close, send and stop at unexpected moments: each client gets its own whole answer or an error."""

import contextlib
import os
import select
import socket
import ssl
import threading

import pytest

from authority import Holder, pem
from client import BrokenTransfer, Client
from gateway import PATIENCE, eventually
from origin import OK
from process import held
from segments import hear, lose, under_way
from tls_server import Server, TLSServer, make_certificate

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
SIZES = [1, 1000, 16_384, 65_000, 200_000]
VERSIONS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("upstream"))


@pytest.fixture(scope="module", params=VERSIONS)
def upstream(request, files):
    """A TLS server whose behaviour each test sets."""
    server = TLSServer(*files, lambda peer: server.act(peer), VERSIONS[request.param])
    yield server
    server.stop()


@pytest.fixture(scope="module")
def gateway(run_once, upstream, files):
    return run_once(
        [{"domain": "app.test", "upstreams": [upstream.url], "upstream_tls": {"ca_file": str(files[0])}}], gateway={"workers": 1})


# Ends of connections over TLS.

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


def test_an_answer_sent_with_the_handshake_is_not_used(run, files):
    """Over TLS 1.2 the server sends the handshake's last message, before the request."""
    server = TLSServer(*files, lambda peer: peer.request(), VERSIONS["TLS 1.2"])
    server.greeting = OK
    gateway = run([{"domain": "app.test", "upstreams": [server.url], "upstream_tls": {"ca_file": str(files[0])}}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        for _ in range(5):
            assert client.get().status == 502
    gateway.await_log("sent something", "before the request")
    server.stop()


@pytest.mark.parametrize("delays", [False, True], ids=["at once", "with Nagle's algorithm"])
@pytest.mark.parametrize("kind", ["plain", *VERSIONS])
def test_an_upstream_that_speaks_first_answers_nobody(run, files, kind, delays):
    """Its kernel acknowledges requests before it has read them, so acknowledgements do not show that it speaks first."""
    server = TLSServer(*files, honest, VERSIONS[kind]) if kind in VERSIONS else Server(honest)
    server.greeting, server.delays_small_data = EARLY, delays
    trust = {"upstream_tls": {"ca_file": str(files[0])}} if server.context else {}
    gateway = run([{"domain": "app.test", "upstreams": [server.url], **trust}], gateway={"workers": 1})
    with Client(gateway.http) as client, Client(gateway.http) as other:
        for _ in range(3):
            assert [client.get().status, other.get().status] == [502, 502]
        gateway.await_log("sent something", "before the request")
        # As soon as the server waits for requests, it gets them.
        server.greeting = b""
        assert answers_in_turn(client)
    server.stop()


# Bytes before a request.

@pytest.mark.parametrize("greeting", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nothers", b"220 mail.test ESMTP\r\n", b"\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"",
], ids=["answer", "another protocol", "empty line", "interim", "the end"])
def test_bytes_before_the_request_are_no_answer(run, greeting):
    """The connection is up while the gateway is stopped, so that the server has sent bytes before the gateway looks."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        gateway = run([{"domain": "app.test", "upstreams": [f"http://127.0.0.1:{address[1]}"]}], gateway={"workers": 1})
        # The listener's queue is full: the next connection's first segment is lost, and is sent again a second later.
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


MALFORMED = 'aegis_upstream_failures_total{reason="malformed"}'
EARLY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly"


def honest(peer):
    """Answers each request with its target, up to `/last`."""
    target = b""
    while target != b"/last":
        target = peer.request().split()[1]
        end = b"Connection: close\r\n" if target == b"/last" else b""
        peer.say(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (end, len(target)) + target).push()


def until_end(peer):
    while peer.socket.recv(65536):
        pass


def answers_in_turn(client):
    """Whether an honest server's answers reach a client in the order of its requests."""
    return all(client.get(path=path).body == path.encode() for path in ("/0", "/1", "/last"))


@pytest.fixture(scope="module", params=["plain", *VERSIONS])
def server(request, files):
    version = VERSIONS.get(request.param)
    server = TLSServer(*files, lambda peer: server.act(peer), version) if version else Server(lambda peer: server.act(peer))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def front(run_once, server, files):
    trust = {"upstream_tls": {"ca_file": str(files[0])}} if server.context else {}
    return run_once(
        [{"domain": "app.test", "upstreams": [server.url], **trust}],
        gateway={"workers": 1, "limits": {"body_buffer_bytes": "0B"}})


@pytest.mark.parametrize("greeting", [EARLY, b"HTTP/1.1 100 Continue\r\n\r\n", b"220 mail.test ESMTP\r\n"])
def test_bytes_sent_at_the_time_of_the_first_request_are_no_answer(server, front, greeting):
    """The request is lost on its way, so that what the server sends can't be its answer."""
    def early(peer):
        eventually("the request on its way", lambda: under_way(server.port) > 1500)
        peer.say(greeting).push()
        until_end(peer)

    server.act = early
    malformed = front.metric(MALFORMED)
    # Only the request's segment is large enough to be dropped.
    lose(server.listener, 1500)
    with Client(front.http) as client:
        try:
            assert client.get("app.test", "/", "A: " + 2000 * "a").status == 502
        finally:
            hear(server.listener)
        server.act = honest
        assert answers_in_turn(client)
    front.await_log("sent something", "before the request")
    assert front.metric(MALFORMED) == malformed + 1


@pytest.mark.parametrize("status", [200, 401, 413])
def test_an_early_answer_during_a_body_is_used_and_the_connection_closed(server, front, status):
    """The server has received the head only, and may answer it. What it sends after that can't be matched to a request."""
    def hasty(peer):
        head = peer.request()
        assert head.startswith(b"POST")
        eventually("the body on its way", lambda: under_way(server.port) > 1500)
        peer.say(b"HTTP/1.1 %d Hasty\r\nContent-Length: 2\r\n\r\nno" % status).push()
        until_end(peer)

    server.act, connections = hasty, server.connections
    lose(server.listener, 1500)
    with Client(front.http) as client, Client(front.http) as other:
        try:
            client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4000\r\n\r\n")
            eventually("the request", lambda: server.connections > connections)
            client.send(4000 * b"b")
            assert (answer := client.response()).status == status and answer.body == b"no"
        finally:
            hear(server.listener)
        server.act = honest
        assert answers_in_turn(other)
    assert server.connections == connections + 2


def test_a_unix_socket_that_answers_without_reading_gets_one_request(run, tmp_path):
    """The kernel reports that a socket has unread bytes but not how many, and a small part may be enough for an answer."""
    connections, arrived = [], threading.Event()

    def serve(listener):
        with contextlib.suppress(OSError):
            while True:
                connections.append(listener.accept()[0])
                threading.Thread(target=answer, args=(connections[-1], len(connections) == 1), daemon=True).start()

    def answer(connection, isFirst):
        if isFirst:
            connection.recv(1, socket.MSG_PEEK)
            connection.sendall(EARLY)
            arrived.wait(PATIENCE)
        heads = b""
        while piece := connection.recv(65536):
            heads += piece
            # The first connection is slow: its answer comes after the next request.
            while heads.count(b"\r\n\r\n") > isFirst:
                head, heads = heads.split(b"\r\n\r\n", 1)
                target = head.split()[1]
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(target) + target)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "up.sock"))
        listener.listen()
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        gateway = run([{"domain": "app.test", "upstreams": [f"unix:{tmp_path}/up.sock"]}], gateway={"workers": 1})
        with Client(gateway.http) as client:
            assert client.get(path="/0").body == b"early"
            arrived.set()
            assert [client.get(path=f"/{number}").body for number in (1, 2)] == [b"/1", b"/2"]
        assert len(connections) == 2
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("method, answer", [
    ("GET", OK), ("HEAD", OK[:-2]), ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
], ids=["length", "HEAD", "204", "chunks"])
@pytest.mark.parametrize("when", ["with the answer", "soon", "late"])
def test_bytes_after_an_answer_end_the_connection(server, front, method, answer, when):
    arrived = threading.Event()

    def generous(peer):
        peer.request()
        if when == "with the answer":
            peer.say(answer + EARLY).push()
        else:
            peer.say(answer).push()
            if when == "late":
                arrived.wait(PATIENCE)
            peer.say(EARLY).push()
        with contextlib.suppress(ConnectionError):
            until_end(peer)
        peer.socket.close()
        ended.set()

    ended = threading.Event()
    server.act, connections = generous, server.connections
    with Client(front.http) as client:
        assert client.ask(f"{method} / HTTP/1.1\r\nHost: app.test\r\n\r\n").status in (200, 204)
        arrived.set()
        assert ended.wait(PATIENCE)
        server.act = honest
        assert answers_in_turn(client)
    assert server.connections == connections + 2


@pytest.mark.parametrize("interim", [b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_endless_interim_answers_are_cut_off(run, make_origin, interim):
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


@pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "TLS"])
def test_a_late_body_of_an_answer_to_head_reaches_no_other_client(run, make_origin, tmp_path, over_tls):
    """After an upstream has sent a body for HEAD, no request follows a HEAD on its connection."""
    shown = Holder("up", names=["127.0.0.1"])
    origin = make_origin(tls=shown.server(tmp_path / "up.pem") if over_tls else None)
    (tmp_path / "ca.pem").write_bytes(pem(shown.certificate))
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url],
          **({"upstream_tls": {"ca_file": str(tmp_path / "ca.pem")}} if over_tls else {})}],
        gateway={"workers": 1})
    stray = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"
    answered = threading.Event()

    def late(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(stray))
        answered.wait(2)
        connection.send(stray)

    origin.answers["/late"] = late
    ask = "HEAD /late HTTP/1.1\r\nHost: app.test\r\n\r\n"
    with Client(gateway.http) as client:
        assert client.ask(ask, method="HEAD").status == 200
        answered.set()
        eventually("the end of the first connection", lambda: origin.connections[0].socket.fileno() == -1)
        answered.clear()
        assert client.ask(ask, method="HEAD").status == 200
        # The body that follows the answer to HEAD has not arrived yet.
        assert client.get().body == b"ok"
        answered.set()
        assert [client.get().body for _ in range(2)] == [b"ok"] * 2
    assert [request.connection for request in origin.requests] == [0, 1, 2, 2, 2]


def test_head_keeps_its_connection_with_an_upstream_that_sends_no_body(run, make_origin):
    origin = make_origin()
    origin.answers["/head"] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}], gateway={"workers": 1})

    def same_connection(client):
        assert client.ask("HEAD /head HTTP/1.1\r\nHost: app.test\r\n\r\n", method="HEAD").status == 200
        assert client.get().body == b"ok"
        return origin.requests[-2].connection == origin.requests[-1].connection

    with Client(gateway.http) as client:
        # After the first HEAD, a connection is watched for a while.
        assert not same_connection(client)
        eventually("the end of the watch", lambda: same_connection(client))
        assert all(same_connection(client) for _ in range(3))


def test_the_first_late_body_of_an_answer_to_head_is_nobody_elses_answer(run, make_origin):
    """The body would arrive while another request is on the connection, if the gateway sent one there."""
    origin = make_origin()
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}], gateway={"workers": 1})
    answered = threading.Event()

    def late(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(EARLY))
        eventually("another request", lambda: answered.is_set() or select.select([connection.socket], [], [], 0)[0])
        connection.send(EARLY)

    origin.answers["/late"] = late
    with Client(gateway.http) as client, Client(gateway.http) as other:
        # The first connection shows that the upstream waits for requests.
        assert other.get().body == b"ok"
        assert client.ask("HEAD /late HTTP/1.1\r\nHost: app.test\r\n\r\n", method="HEAD").status == 200
        assert [other.get().body for _ in range(3)] == [b"ok"] * 3
        answered.set()
        eventually("the end of the first connection", lambda: origin.connections[0].socket.fileno() == -1)
        assert [other.get().body for _ in range(3)] == [b"ok"] * 3


@pytest.mark.parametrize("kind", ["a head byte by byte", "interim answers"])
def test_an_answer_that_never_begins_is_ended(run, make_origin, kind):
    """Each byte comes soon enough after the last."""
    origin = make_origin()

    def drip(connection, request):
        with contextlib.suppress(OSError):
            connection.send(b"HTTP/1.1 200 OK\r\nA: " if kind == "a head byte by byte" else b"")
            while not ended.wait(0.1):
                connection.send(b"a" if kind == "a head byte by byte" else b"HTTP/1.1 102 Processing\r\n\r\n")
        return False

    origin.answers["/drip"], ended = drip, threading.Event()
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url], "timeouts": {"read": "500ms"}}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        assert client.get(path="/drip").status == 504
        ended.set()
        assert client.get().body == b"ok"


def test_interim_answers_give_an_upstream_more_time(run, make_origin):
    origin = make_origin()

    def patient(connection, request):
        for _ in range(8):
            # Each interim answer comes within the timeout, but four of them take as long as the timeout.
            ended.wait(0.25)
            connection.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        connection.send(OK)

    origin.answers["/patient"], ended = patient, threading.Event()
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "timeouts": {"read": "1s"}}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        assert client.get(path="/patient").body == b"ok"


def test_many_session_tickets_at_once_are_no_flood(run, files):
    server = TLSServer(*files, honest, VERSIONS["TLS 1.3"])
    server.context.num_tickets = 200
    gateway = run(
        [{"domain": "app.test", "upstreams": [server.url], "upstream_tls": {"ca_file": str(files[0])}}],
        gateway={"workers": 1})
    with Client(gateway.http) as client:
        assert answers_in_turn(client)
    server.stop()

