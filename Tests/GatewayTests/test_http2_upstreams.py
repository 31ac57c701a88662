"""Upstreams that speak HTTP/2 (RFC 9113): many requests share a connection, and mean what the client meant."""

import concurrent.futures
import socket
import ssl
import struct

import h2.connection
import pytest

from client import BrokenTransfer, Client, tls_context
from clocks import needs_faketime
from gateway import PATIENCE, eventually, settled
from http2_client import Http2Client
from http2_origin import HTTP2Origin
from process import held, memory_bytes
from tls_server import make_certificate

MIB = 1 << 20


@pytest.fixture
def upstream():
    made = HTTP2Origin()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def once():
    made = HTTP2Origin()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def gateway(run_once, once):
    return run_once([
        {"domain": "app.test", "upstreams": [once.url], "limits": {"body_bytes": 0}},
        {"domain": "own.test", "upstreams": [once.url], "preserve_host": False,
         "headers": {"request": {"set": {"X-Added": "1"}, "remove": ["X-Secret"]}}},
    ], gateway={"workers": 1})


@pytest.fixture
def origin(once):
    once.forget()
    yield once
    once.hang_up()


def ask(gateway, head, *body, method="GET", host="app.test"):
    with Client(gateway.http) as client:
        return client.ask(f"{method} {head.pop(0)} HTTP/1.1\r\nHost: {host}\r\n" + "".join(f"{line}\r\n" for line in head)
                          + "\r\n", *body, method=method)


def reset_on_close(connection):
    # A client that only closes its sending side still gets its answer.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_request_keeps_its_meaning(gateway, origin):
    answer = ask(gateway, ["/a%20b?c=d", "Cookie: a=1", "Connection: X-Hop", "X-Hop: 1", "Accept: text/plain", "TE: gzip"])
    assert (answer.status, answer.body) == (200, b"hello")
    call = origin.last
    assert {name: call[f":{name}"] for name in ("method", "scheme", "authority", "path")} == {
        "method": "GET", "scheme": "http", "authority": "app.test", "path": "/a%20b?c=d"}
    assert call["cookie"] == "a=1" and call["accept"] == "text/plain" and call["x-forwarded-proto"] == "http"
    names = [name for name, _ in call.fields]
    assert not {"host", "connection", "x-hop", "te", "transfer-encoding", "keep-alive", "upgrade"} & set(names)
    assert all(name == name.lower() for name in names) and call.is_complete and call.body == b""


def test_the_upstreams_own_name_and_the_hosts_header_rules_count(gateway, origin):
    assert ask(gateway, ["/", "X-Secret: 1"], host="own.test").status == 200
    assert origin.last[":authority"] == f"127.0.0.1:{origin.port}"
    assert origin.last["x-added"] == "1" and origin.last["x-secret"] is None


def test_the_largest_head_passes(run, upstream):
    gateway = run([{"domain": "app.test", "upstreams": [upstream.url]}],
                  gateway={"limits": {"header_bytes": "1MiB", "header_fields": 1000}})
    # Each of the target's bytes is passed on as three.
    target, fields = "/" + "|" * 340_000, [f"X-Long: {'x' * 8000}"] * 80
    assert ask(gateway, [target, *fields]).status == 200
    assert upstream.last[":path"] == "/" + "%7C" * 340_000
    assert [value for name, value in upstream.last.fields if name == "x-long"] == ["x" * 8000] * 80


@pytest.mark.parametrize("size", [0, 1, 70_000, 3 * MIB])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_bodies_pass_in_both_directions(gateway, origin, size, is_chunked):
    sent, returned = bytes(range(251)) * (size // 251 + 1), b"answer" * (size // 6 + 1)
    sent = sent[:size]
    origin.answer = lambda call: call.respond(body=returned)
    if is_chunked:
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [sent[at:at + 9999] for at in range(0, size, 9999)])
        answer = ask(gateway, ["/", "Transfer-Encoding: chunked"], body + b"0\r\n\r\n", method="POST")
    else:
        answer = ask(gateway, ["/", f"Content-Length: {size}"], sent, method="POST")
    assert answer.status == 200 and answer.body == returned
    assert origin.last.body == sent and origin.last.is_complete and origin.last["transfer-encoding"] is None
    assert origin.last["content-length"] == (None if is_chunked else str(size))


@pytest.mark.parametrize("method, status, length", [
    ("HEAD", 200, "5"), ("HEAD", 200, None), ("GET", 204, None), ("GET", 304, "9"), ("GET", 302, "0"), ("GET", 404, None)])
def test_responses_without_a_body(gateway, origin, method, status, length):
    origin.answer = lambda call: call.respond(status, *([("content-length", length)] if length else []), ("x-mark", "1"))
    with Client(gateway.http) as client:
        for _ in range(2):
            answer = client.ask(f"{method} / HTTP/1.1\r\nHost: app.test\r\n\r\n", method=method)
            assert answer.status == status and answer.body == b"" and answer["X-Mark"] == "1"
            expected = length or (None if method == "HEAD" or status == 204 else "0")
            assert answer["Content-Length"] == expected


def test_interim_responses_and_trailers_pass(gateway, origin):
    def answer(call):
        call.interim(103, ("link", "</a>"))
        call.respond(200, end=False)
        call.send(b"ok")
        call.finish(("x-sum", "1"), ("host", "evil.test"))

    origin.answer = answer
    with Client(gateway.http) as client:
        client.send("POST / HTTP/1.1\r\nHost: app.test\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nabc\r\n0\r\nX-Check: 2\r\nHost: evil.test\r\n\r\n")
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 103")
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        assert client.until(b"\r\n\r\n") == b"2\r\nok\r\n0\r\nx-sum: 1"
    assert origin.last.trailers == [(b"x-check", b"2")] and origin.last["te"] == "trailers"


def test_many_requests_share_a_connection(gateway, origin):
    waiting = []
    origin.answer = waiting.append
    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        answers = [pool.submit(ask, gateway, [f"/{number}"]) for number in range(60)]
        origin.await_calls(60)
        eventually("all are complete", lambda: len(waiting) == 60)
        for call in waiting:
            call.respond(body=call[":path"].encode())
        assert [answer.result().body for answer in answers] == [b"/%d" % number for number in range(60)]
    assert len({call.link for call in origin.calls}) == 1


def test_metrics_tell_how_many_connections_and_streams_are_open(run):
    def are_open():
        return tuple(int(gateway.metric(f"aegis_http2_{kind}_open")) for kind in
                     ("connections", "streams", "upstream_connections"))

    upstream = HTTP2Origin()
    gateway = run([{"domain": "app.test", "upstreams": [upstream.url]}])
    upstream.answer = lambda call: None
    with Http2Client(gateway.https) as client:
        for _ in range(3):
            client.begin()
        upstream.await_calls(3)
        assert are_open() == (1, 3, len(upstream.links))
        client.reset(1)
        eventually("the end of a stream", lambda: are_open() == (1, 2, len(upstream.links)))
        upstream.stop()
        assert client.answer(3).status == 502
        eventually("the end of all streams", lambda: are_open() == (1, 0, 0))
    eventually("the end of the connection", lambda: are_open() == (0, 0, 0))


def test_an_upstreams_limit_of_streams_is_kept(run):
    upstream = HTTP2Origin(streams=10)
    try:
        gateway = run([{"domain": "app.test", "upstreams": [upstream.url]}], gateway={"workers": 1})
        assert ask(gateway, ["/"]).status == 200
        waiting = []
        upstream.answer = waiting.append
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            answers = [pool.submit(ask, gateway, ["/"]) for _ in range(40)]
            eventually("all are complete", lambda: len(waiting) == 40)
            for call in waiting:
                call.respond(body=b"x")
            assert all(answer.result().status == 200 for answer in answers)
        assert all(len([call for call in waiting if call.link is link]) <= 10 for link in upstream.links)
        assert not any(link.error for link in upstream.links)
    finally:
        upstream.stop()


def test_the_addresses_of_a_name_share_the_requests(names, run):
    first = HTTP2Origin()
    second = HTTP2Origin(at=("127.0.0.9", first.port))
    try:
        gateway = run([{"domain": "app.test", "upstreams": [f"h2c://up.two.test:{first.port}"]}], gateway={"workers": 1})
        with Client(gateway.http) as client:
            for _ in range(10):
                assert client.get("app.test").status == 200
            assert [len(upstream.calls) for upstream in (first, second)] == [5, 5]
            assert [len(upstream.links) for upstream in (first, second)] == [1, 1]
            # Nothing listens at one of the addresses, which is then left out for a while.
            second.stop()
            for _ in range(10):
                assert client.get("app.test").status == 200
        assert len(first.calls) == 15 and len(first.links) == 1
    finally:
        first.stop()
        second.stop()


def test_a_slow_client_holds_up_nobody_else(gateway, origin):
    origin.answer = lambda call: call.respond(body=bytes(12 * MIB) if call[":path"] == "/large" else b"hello")
    before = memory_bytes(gateway.process.pid)
    slow = [Client(gateway.http) for _ in range(8)]
    for client in slow:
        client.send("GET /large HTTP/1.1\r\nHost: app.test\r\n\r\n")
    origin.await_calls(8)
    for _ in range(20):
        assert ask(gateway, ["/"]).body == b"hello"
    assert memory_bytes(gateway.process.pid) - before < 16 * MIB
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert [len(answer.body) for answer in pool.map(lambda client: client.response("GET"), slow)] == [12 * MIB] * 8
    for client in slow:
        client.close()


def test_a_body_that_waited_mixes_with_no_other(gateway, origin):
    """In one turn a client takes what has waited for it, its response ends, and another client's response arrives."""
    origin.answer = lambda call: call.respond(end=False)
    with Client(gateway.http) as slow, Client(gateway.http) as other:
        for client, path in ((slow, "/slow"), (other, "/other")):
            client.send(f"GET {path} HTTP/1.1\r\nHost: app.test\r\n\r\n")
            client.until(b"\r\n\r\n")
        first, second = origin.calls
        assert first.link is second.link
        first.send(b"a" * (24 * MIB))
        left = settled("the windows are used up", lambda: len(first.unsent), looks=50)
        assert left > 0
        with first.link.lock:
            first.unsent, left = b"", len(first.unsent)
        with held(gateway.process.pid):
            slow.socket.settimeout(1)
            with pytest.raises(TimeoutError):
                while True:
                    slow.more()
            with first.link.sending() as connection:
                connection.end_stream(first.stream)
                connection.send_data(second.stream, b"b" * 1000, end_stream=True)
        slow.socket.settimeout(PATIENCE)
        assert other.chunks() == b"b" * 1000
        assert slow.chunks() == b"a" * (24 * MIB - left)


def test_an_upstream_that_does_not_take_a_body_stops_its_client(gateway, origin):
    origin.takes = False
    gateway.ask("/metrics")
    before = memory_bytes(gateway.process.pid)
    with Client(gateway.http) as client:
        client.send(f"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {64 * MIB}\r\n\r\n")
        client.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            for _ in range(1024):
                client.socket.sendall(bytes(65_536))
    assert memory_bytes(gateway.process.pid) - before < 8 * MIB


# What goes wrong

@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_that_the_upstream_has_not_processed_is_sent_again(gateway, origin, method):
    def answer(call):
        call.reset(7) if len(origin.calls) == 1 else call.respond(body=b"second")

    origin.answer = answer
    response = ask(gateway, ["/", "Content-Length: 3"], b"abc", method=method)
    assert response.body == b"second" and [call.body for call in origin.calls] == [b"abc", b"abc"]
    # An upstream that refuses for ever is not asked for ever.
    origin.answer = lambda call: call.reset(7)
    assert ask(gateway, ["/", "Content-Length: 3"], b"abc", method=method).status == 502
    assert len(origin.calls) == 6


def test_a_request_sent_before_the_goaway_is_sent_again(gateway, origin):
    def answer(call):
        call.link.go_away(max(0, call.stream - 2)) if len(origin.calls) == 1 else call.respond(body=b"second")

    origin.answer = answer
    assert ask(gateway, ["/", "Content-Length: 3"], b"abc", method="POST").body == b"second"
    assert len({call.link for call in origin.calls}) == 2


def test_streams_that_the_goaway_covers_go_on(gateway, origin):
    waiting = []
    origin.answer = waiting.append
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask, gateway, ["/"]) for _ in range(3)]
        eventually("all are complete", lambda: len(waiting) == 3)
        link = waiting[0].link
        link.go_away(max(call.stream for call in waiting))
        late = pool.submit(ask, gateway, ["/late"])
        eventually("another connection", lambda: len(waiting) == 4)
        assert waiting[3].link is not link
        # The h2 package lets a connection that it closed send nothing more.
        link.h2.state_machine.state = h2.connection.ConnectionState.SERVER_OPEN
        for call in waiting:
            call.respond(body=b"whole")
        assert [answer.result().body for answer in [*answers, late]] == [b"whole"] * 4
    eventually("the old connection ends", lambda: link.is_over)


def test_a_refused_request_costs_other_streams_nothing(run, tmp_path):
    """A Unix socket connects at once, while the frames behind the refusal are still to be handled."""
    upstream = HTTP2Origin(path=tmp_path / "upstream")
    try:
        gateway = run([{"domain": "app.test", "upstreams": [upstream.url], "upstream_protocol": "h2"}],
                      gateway={"workers": 1})
        waiting = []
        upstream.answer = waiting.append
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(ask, gateway, ["/"]) for _ in range(2)]
            eventually("both are complete", lambda: len(waiting) == 2)
            refused, other = waiting
            assert refused.link is other.link
            upstream.answer = lambda call: call.respond(body=b"second")
            with refused.link.sending() as connection:
                connection.reset_stream(refused.stream, 7)
                connection.send_headers(other.stream, [(":status", "200")])
                connection.send_data(other.stream, b"first", end_stream=True)
            assert sorted(answer.result().body for answer in answers) == [b"first", b"second"]
    finally:
        upstream.stop()


@pytest.mark.parametrize("method, expected", [("GET", 200), ("POST", 502)])
def test_a_connection_that_breaks_before_an_answer(gateway, origin, method, expected):
    assert ask(gateway, ["/"]).status == 200

    def answer(call):
        if len(origin.calls) == 2:
            return call.link.connection.shutdown(2)
        call.respond(body=b"second")

    origin.answer = answer
    assert ask(gateway, ["/", "Content-Length: 0"], method=method).status == expected
    assert ask(gateway, ["/"]).body == b"second"


def test_a_reset_within_an_answer_breaks_it_off_and_nothing_else(gateway, origin):
    waiting = []

    def answer(call):
        waiting.append(call)
        call.respond(200, ("content-length", "100"), end=False)
        call.send(b"some")

    origin.answer = answer
    with Client(gateway.http) as client, Client(gateway.http) as other:
        for one in (client, other):
            one.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
            one.until(b"some")
        first, second = waiting
        first.reset(2)
        with pytest.raises((BrokenTransfer, ConnectionError)):
            client.exactly(1)
        second.send(b"x" * 96, end=True)
        assert other.exactly(96) == b"x" * 96


def test_a_reset_before_an_answer_is_502(gateway, origin):
    origin.answer = lambda call: call.reset(8)
    assert ask(gateway, ["/"], method="POST").status == 502
    gateway.await_log("reset the stream with code 8")


def test_a_client_that_leaves_ends_its_stream(gateway, origin):
    origin.answer = lambda call: call.respond(end=False)
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        client.until(b"\r\n\r\n")
        reset_on_close(client.socket)
    eventually("the reset", lambda: origin.last.reset_code == 8)
    origin.answer = lambda call: call.respond(body=b"hello")
    assert ask(gateway, ["/"]).status == 200
    assert origin.calls[0].link is origin.last.link


def test_an_early_answer_ends_the_request(gateway, origin):
    origin.answers_at_once = True
    origin.answer = lambda call: call.respond(413, body=b"too large")
    with Client(gateway.http) as client:
        client.send(f"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {8 * MIB}\r\n\r\n" + "x" * 200_000)
        assert client.response("POST").status == 413


def test_a_malformed_answer_is_502(gateway, origin):
    def broken(call):
        with call.link.sending() as connection:
            connection.send_headers(call.stream, [(":status", "200"), ("connection", "close")], end_stream=True)

    origin.answer = broken
    assert ask(gateway, ["/"]).status == 502
    origin.answer = lambda call: call.respond(200, ("content-length", "3"), body=b"hello")
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        with pytest.raises((BrokenTransfer, ConnectionError)):
            client.response("GET")
            client.exactly(1)


@needs_faketime
def test_a_silent_idle_connection_is_asked_and_given_up(run, upstream, clock):
    gateway = run([{"domain": "app.test", "upstreams": [upstream.url]}], gateway={"workers": 1}, wrapper=clock.wrapper)
    assert ask(gateway, ["/"]).status == 200
    link, = upstream.links
    clock.set(31)
    eventually("a PING", lambda: link.pings == 1, patience=30)
    clock.set(95)
    eventually("the end", lambda: link.is_over, patience=30)
    assert ask(gateway, ["/"]).status == 200


# TLS, protocols, changes

@pytest.mark.parametrize("offered, expected", [(["h2"], 200), (["http/1.1"], 502), ([], 502)])
def test_over_tls_the_upstream_must_choose_http2(run, tmp_path, offered, expected):
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if offered:
        context.set_alpn_protocols(offered)
    upstream = HTTP2Origin(tls=context)
    try:
        gateway = run([{"domain": "app.test", "upstreams": [upstream.url], "upstream_protocol": "h2",
                        "upstream_tls": {"ca_file": str(certificate)}}])
        for _ in range(2):
            assert ask(gateway, ["/"]).status == expected
        if expected == 200:
            assert upstream.last[":scheme"] == "https" and len(upstream.links) <= 2
        else:
            gateway.await_log("does not speak HTTP/2 over TLS")
    finally:
        upstream.stop()


def test_a_change_of_the_upstreams_lets_streams_end(run, upstream):
    gateway = run([{"domain": "app.test", "upstreams": [upstream.url]}], gateway={"workers": 1})
    upstream.answer = lambda call: call.respond(end=False)
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        client.until(b"\r\n\r\n")
        gateway.config["hosts"][0] = {"domain": "app.test", "respond": {"status": 200, "body": "new\n"}}
        gateway.reload()
        assert ask(gateway, ["/"]).body == b"new\n"
        upstream.last.send(b"old", end=True)
        assert client.until(b"0\r\n\r\n") == b"3\r\nold\r\n"
    eventually("the connection ends", lambda: upstream.links[0].is_over)


def test_an_upgrade_goes_by_http1(run, make_origin):
    origin = make_origin()
    gateway = run([{"domain": "app.test", "upstreams": [origin.url.replace("http", "h2c")]}])
    origin.answers["/"] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nhi"
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101") and client.exactly(2) == b"hi"


def test_health_checks_go_by_http2(run, upstream):
    statuses = {"/": 503}
    upstream.answer = lambda call: call.respond(statuses.get(call[":path"], 200), body=b"x")
    gateway = run([{"domain": "app.test", "upstreams": [upstream.url], "health_check": {"interval": "100ms"}}])
    gateway.await_log(f"{upstream.url} is not well: it answered 503")
    statuses["/"] = 200
    gateway.await_log(f"{upstream.url} is well again")
    assert upstream.calls[0]["user-agent"] == "aegis-health-check"


@pytest.mark.parametrize("answer, reason", [
    (lambda call: call.respond(204), "it answered 204"),
    (lambda call: call.respond(200, body=b"\0\0\0\0\2\x08\1"), "it answered the call with no status"),
    (lambda call: call.respond(200, ("grpc-status", "0")), "its service is not serving")])
def test_only_a_whole_answer_to_a_call_says_that_a_service_is_well(run, upstream, answer, reason):
    upstream.answer = answer
    gateway = run([{"domain": "app.test", "upstreams": [upstream.url],
                    "health_check": {"grpc_service": "shop", "interval": "1s"}}])
    gateway.await_log(f"{upstream.url} is not well: {reason}")
