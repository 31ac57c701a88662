"""HTTP/2 to clients: requests and answers of every kind, many at once, as over HTTP/1.1."""

import hashlib
import json
import subprocess
import threading

import h2.events
import pytest

from access_log import lines
from client import Client, tls_context
from client_auth import context, leaf, pem, root
from gateway import PATIENCE, eventually
from http2_client import (
    NO_ERROR, PROTOCOL_ERROR, FrameClient, Http2Client, data, headers, request)
from load import content
from origin import OK

MIB = 1 << 20
SIZES = [0, 1, 16383, 16384, 16385, 65535, 65536, 65537, MIB, 20 * MIB]


def curl(gateway, host, *options, path="/", version="--http2"):
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--insecure", version, "--max-time", str(PATIENCE),
         "--resolve", f"{host}:{gateway.https}:127.0.0.1", *options, f"https://{host}:{gateway.https}{path}"],
        capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl_gets_answers(run, origin):
    gateway = run([
        {"domain": "fixed.test", "respond": {"body": "here"}}, {"domain": "app.test", "upstreams": [origin.url]}])
    form = "%{http_version} %{http_code}"
    assert curl(gateway, "fixed.test", "--write-out", " " + form) == b"here 2 200"
    assert curl(gateway, "app.test", "--write-out", " " + form, "--data", "abc") == b"ok 2 200"
    assert origin.requests[-1].body == b"abc"
    assert curl(gateway, "app.test", "--head", "--output", "/dev/null", "--write-out", form) == b"2 200"
    assert curl(gateway, "app.test", "--write-out", " " + form, version="--http1.1") == b"ok 1.1 200"


def test_protocols_says_what_is_offered(run):
    hosts = [
        {"domain": "new.test", "respond": {"body": "here"}},
        {"domain": "old.test", "respond": {"body": "here"}, "protocols": ["http/1.1"]}]
    gateway = run(hosts)
    form = "%{http_version}"
    assert curl(gateway, "new.test", "--write-out", " " + form) == b"here 2"
    assert curl(gateway, "old.test", "--write-out", " " + form) == b"here 1.1"
    gateway.config["gateway"]["protocols"] = ["http/1.1"]
    hosts[1]["protocols"] = ["h2", "http/1.1"]
    gateway.reload()
    assert curl(gateway, "new.test", "--write-out", " " + form) == b"here 1.1"
    assert curl(gateway, "old.test", "--write-out", " " + form) == b"here 2"


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once(
        [
            {"domain": "app.test", "upstreams": [module_origin.url], "limits": {"body_bytes": "0"}},
            {"domain": "small.test", "upstreams": [module_origin.url], "limits": {"body_bytes": "10B"}},
            {"domain": "fixed.test", "respond": {"body": "here"}},
            {"domain": "away.test", "upstreams": [module_origin.url], "ssl_mode": "custom", "certificate": "web",
             "force_https": True},
        ],
        issuers={"lan": {"type": "local_ca"}}, certificates={"web": {"issuer": "lan", "domains": ["away.test"]}},
        gateway={"access_log": {"to": "access.log"}})


@pytest.fixture
def client(gateway):
    with Http2Client(gateway.https) as client:
        yield client


def logged(gateway, target):
    """Waits for the access log's line about a target."""
    def find():
        return next((entry for line in lines(gateway.folder / "access.log")
                     if (entry := json.loads(line)).get("target") == target), None)

    return eventually(f"the log line of {target}", find)


def bytes_of(size):
    """Bytes of which no part is like another."""
    block = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(min(size, MIB) // 32 + 1))
    return (block * (size // len(block) + 1))[:size]


# Bodies.

@pytest.mark.parametrize("has_length", [True, False], ids=["with length", "without length"])
@pytest.mark.parametrize("size", SIZES)
def test_a_request_body_arrives_whole(client, origin, size, has_length):
    body = bytes_of(size)
    fields = [("content-length", str(size))] if has_length else []
    answer = client.ask("/up", *fields, method="POST", body=body)
    assert (answer.status, answer.body, answer.reset) == (200, b"ok", None)
    assert origin.last.body == body and origin.last.method == "POST"
    # A body that is complete when its head ends is treated as no body.
    assert origin.last["Content-Length"] == (str(size) if has_length else None)
    assert origin.last["Transfer-Encoding"] == (None if has_length or not size else "chunked")


@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
@pytest.mark.parametrize("size", SIZES)
def test_an_answer_arrives_whole(client, origin, size, framing):
    body = bytes_of(size)

    def answer(connection, _):
        connection.send(b"HTTP/1.1 200 OK\r\n" + {
            "length": b"Content-Length: %d\r\n\r\n" % size, "chunks": b"Transfer-Encoding: chunked\r\n\r\n",
            "close": b"Connection: close\r\n\r\n"}[framing])
        pieces = [body[start:start + 50_000] for start in range(0, size, 50_000)]
        for piece in pieces:
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece) if framing == "chunks" else piece)
        if framing == "chunks":
            connection.send(b"0\r\n\r\n")
        return framing != "close"

    origin.answers["/down"] = answer
    answer = client.ask("/down")
    assert (answer.status, answer.reset) == (200, None)
    assert bytes(answer.body) == body
    assert answer["content-length"] == (str(size) if framing == "length" else None)
    assert answer["transfer-encoding"] is None and answer["connection"] is None


def test_large_bodies_pass_both_ways_at_once(client, origin):
    body = bytes_of(20 * MIB)

    def echo(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        left = len(body)
        while left and (connection.buffer or connection.more()):
            left -= len(connection.buffer)
            piece = bytes(connection.buffer)
            connection.buffer.clear()
            connection.send(piece)

    origin.early["/echo"] = echo
    answer = client.ask("/echo", ("content-length", str(len(body))), body=body)
    assert answer.status == 200 and bytes(answer.body) == body


def test_padding_is_no_part_of_a_body(gateway, origin):
    with FrameClient(gateway.https) as client:
        client.send(
            headers(1, *request("POST"), end=False), data(1, b"\x05hello" + bytes(5), flags=8),
            data(1, b"\xff" + bytes(255), flags=8), data(1, b"\0 world", end=True, flags=8))
        assert client.end_of(1) == (200, b"ok", None)
    assert origin.last.body == b"hello world"


def test_a_body_sent_byte_by_byte_arrives_whole(gateway, origin):
    with FrameClient(gateway.https) as client:
        client.send(headers(1, *request("POST"), end=False))
        for byte in b"hello world":
            client.send(data(1, bytes([byte])))
            client.ping()
        client.send(data(1, end=True))
        assert client.end_of(1) == (200, b"ok", None)
    assert origin.last.body == b"hello world"


def test_trailers_of_a_request_end_its_body(gateway, origin):
    """Trailers that servers could mistake for fields of the head do not pass."""
    with FrameClient(gateway.https) as client:
        client.send(
            headers(1, *request("POST"), end=False), data(1, b"hello"),
            headers(1, ("x-sum", "1"), ("cookie", "a=b"), ("authorization", "x"), ("host", "other.test"), ("a_b", "c")))
        assert client.end_of(1) == (200, b"ok", None)
        client.send(headers(3))
        assert client.end_of(3) == (200, b"ok", None)
    assert origin.requests[0].body == b"hello"
    assert origin.requests[0].raw.endswith(b"\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n")


def test_trailers_of_a_request_with_a_length_do_not_pass(gateway, origin):
    with FrameClient(gateway.https) as client:
        client.send(
            headers(1, *request("POST"), ("content-length", "5"), end=False), data(1, b"hello"), headers(1, ("x-sum", "1")))
        assert client.end_of(1) == (200, b"ok", None)
        client.send(headers(3))
        assert client.end_of(3) == (200, b"ok", None)
    assert [request.body for request in origin.requests] == [b"hello", b""]
    assert b"x-sum" not in origin.requests[0].raw


@pytest.mark.parametrize("size", [0, 5, 200_000])
def test_trailers_of_an_answer_follow_its_body(client, origin, size):
    chunk = b"%x\r\n%s\r\n" % (size, bytes(size)) if size else b""
    origin.answer = (
        b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk
        + b"0\r\nX-Sum: abc\r\ngrpc-status: 0\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n\r\n")
    for _ in range(2):
        answer = client.ask()
        assert (answer.status, bytes(answer.body), answer.is_ended) == (200, bytes(size), True)
        assert answer.trailers == [("x-sum", "abc"), ("grpc-status", "0")]
    assert client.ask(method="HEAD").status == 200


# Many streams.

def test_a_hundred_answers_come_in_any_order(client, origin):
    """Each request is answered only when all others have arrived, and then the last comes first."""
    ids, released = range(100), [threading.Event() for _ in range(101)]

    def answer(connection, request):
        identity = int(request.target.split("=")[1])
        released[identity + 1].wait(PATIENCE)
        body = content(str(identity))
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        released[identity].set()

    origin.answer = answer
    streams = [client.begin(f"/?id={identity}") for identity in ids]
    origin.await_requests(100)
    released[100].set()
    for identity, stream in zip(ids, streams):
        answer = client.answer(stream)
        assert answer.status == 200 and bytes(answer.body) == content(str(identity))
    ends = [event.stream_id for event in client.events if isinstance(event, h2.events.StreamEnded)]
    assert ends[0] > ends[-1]


def test_a_hundred_bodies_pass_at_once(client, origin):
    origin.answer = lambda connection, request: connection.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.body) + request.body)
    bodies = [bytes_of(200_000 + n)[n:] for n in range(100)]
    streams = [client.begin(f"/{n}", body=body) for n, body in enumerate(bodies)]
    for stream, body in zip(streams, bodies):
        answer = client.answer(stream)
        assert answer.status == 200 and bytes(answer.body) == body


def test_a_request_beyond_the_streams_at_once_is_refused(gateway, origin):
    origin.answer = lambda connection, _: connection.more()
    with FrameClient(gateway.https) as client:
        client.send(*(headers(stream) for stream in range(1, 257, 2)))
        origin.await_requests(128)
        client.send(headers(257))
        assert client.end_of(257) == (None, b"", 7)  # REFUSED_STREAM
    assert len(origin.requests) == 128


def test_hosts_of_one_policy_share_a_connection(run, make_origin, tmp_path):
    origin = make_origin()
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    shared = {"ssl_mode": "custom", "certificate": "all", "upstreams": [origin.url]}
    domains = ["one.test", "two.test", "www.one.test", "closed.test"]
    gateway = run(
        [
            {"domain": "one.test", "aliases": ["www.one.test"], **shared}, {"domain": "two.test", **shared},
            {"domain": "closed.test", **shared, "client_auth": {"ca_file": str(tmp_path / "ca.pem")}},
        ],
        issuers={"lan": {"type": "local_ca"}}, certificates={"all": {"issuer": "lan", "domains": domains}})
    with Http2Client(gateway.https, "one.test") as client:
        streams = [client.begin(host=host) for host in (*domains, "one.test", "other.test")]
        assert [client.answer(stream).status for stream in streams] == [200, 200, 200, 421, 200, 421]
    assert {request["Host"] for request in origin.requests} == {"one.test", "two.test", "www.one.test"}
    settings = context(leaf(), folder=tmp_path)
    settings.set_alpn_protocols(["h2"])
    with Http2Client(gateway.https, "closed.test", settings) as client:
        assert [client.ask(host=host).status for host in ("closed.test", "one.test", "closed.test")] == [200, 421, 200]


def test_without_a_server_name_a_connection_carries_all_hosts(gateway, origin):
    with Http2Client(gateway.https, None) as client:
        assert [client.ask(host=host).status for host in ("app.test", "small.test", "app.test", "none.test")] == [
            200, 200, 200, 404]


# Answers of every kind.

def test_heads_of_answers_pass_without_fields_of_the_connection(client, origin):
    origin.answer = (
        b"HTTP/1.1 404 Not There\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Mixed-Case: Yes\r\n"
        b"Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nProxy-Connection: x\r\nUpgrade: foo\r\nContent-Length: 2\r\n\r\nno")
    answer = client.ask()
    assert (answer.status, answer.body) == (404, b"no")
    assert {name for name, _ in answer.fields} == {"x-mixed-case", "set-cookie", "content-length", "date"}
    assert answer["x-mixed-case"] == "Yes" and answer.all("set-cookie") == ["a=b", "c=d"]


@pytest.mark.parametrize("method, status, sent", [
    ("HEAD", 200, b"Content-Length: 12345\r\n\r\n"), ("HEAD", 200, b"Transfer-Encoding: chunked\r\n\r\n"),
    ("HEAD", 404, b"Content-Length: 0\r\n\r\n"), ("GET", 204, b"\r\n"), ("GET", 304, b"Content-Length: 12345\r\n\r\n"),
    ("GET", 304, b"ETag: \"x\"\r\n\r\n"), ("POST", 204, b"\r\n"), ("GET", 200, b"Content-Length: 0\r\n\r\n"),
    ("GET", 200, b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), ("GET", 205, b"Content-Length: 0\r\n\r\n"),
])
def test_an_answer_without_a_body_ends_its_stream(client, origin, method, status, sent):
    origin.answers["/none"] = b"HTTP/1.1 %d Some Reason\r\n" % status + sent
    for _ in range(2):
        answer = client.ask("/none", method=method)
        assert (answer.status, answer.body, answer.reset, answer.is_ended) == (status, b"", None, True)
        assert client.ask().body == b"ok"
    if b"12345" in sent:
        assert answer["content-length"] == "12345"


def test_interim_answers_pass(client, origin):
    origin.answers["/early"] = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n" + OK)
    answer = client.ask("/early")
    assert (answer.status, answer.body) == (200, b"ok")
    assert [(interim.status, interim.fields) for interim in answer.interim] == [
        (103, [("link", "</a.css>; rel=preload")]), (102, []), (103, [("link", "</b.css>; rel=preload")])]


def test_a_change_of_protocol_is_no_answer(client, origin):
    origin.answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert client.ask().status == 502


def test_a_client_that_expects_100_gets_it_before_its_body(client, origin):
    stream = client.begin("/up", ("expect", "100-continue"), ("content-length", "5"), ends=False)
    client.until(lambda: client.answers[stream].interim)
    assert [interim.status for interim in client.answers[stream].interim] == [100]
    assert not origin.requests
    client.add(stream, b"hello", ends=True)
    answer = client.answer(stream)
    assert (answer.status, len(answer.interim)) == (200, 1)
    assert origin.last.body == b"hello"


def test_a_large_body_that_expects_100_arrives_whole(client, origin):
    body = bytes_of(MIB)
    stream = client.begin("/up", ("expect", "100-continue"), ends=False)
    client.until(lambda: client.answers[stream].interim)
    client.add(stream, body, ends=True)
    assert client.answer(stream).status == 200 and origin.last.body == body


@pytest.mark.parametrize("host, fields, status", [
    ("small.test", [("content-length", "100")], 413), ("small.test", [], 413), ("fixed.test", [], 405),
    ("none.test", [], 421), ("app.test", [("content-length", "x")], None)])
def test_an_answer_before_the_end_of_a_body_ends_its_stream(gateway, host, fields, status):
    """RFC 9113 section 8.1: the stream is then reset with NO_ERROR, and the client stops sending."""
    with FrameClient(gateway.https, "app.test" if status in (421, None) else host) as client:
        for stream in range(1, 41, 2):
            client.send(headers(stream, *request("POST", host=host), *fields, end=False), data(stream, bytes(50)))
            answer, body, code = client.end_of(stream)
            if status is None:
                assert (answer, code) == (None, PROTOCOL_ERROR)
                continue
            assert answer == status and body and code is None
            found = client.until(lambda f: f.stream_id == stream)
            assert (found.type, found.error_code) == (3, NO_ERROR)
            # What the client had on its way does no harm.
            client.send(data(stream, bytes(50)), data(stream, bytes(50), end=True))
        client.ping()
        assert client.goaway is None


def test_an_early_answer_of_an_upstream_arrives_whole(client, origin):
    """The upstream answers when it has the head."""
    body = bytes_of(MIB)

    def answer(connection, _):
        connection.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        # A close before all bytes are read would make the kernel drop the answer.
        while connection.more():
            connection.buffer.clear()
        return False

    origin.early["/early"] = answer
    streams = [client.begin("/early", body=bytes(200_000), ends=False) for _ in range(3)]
    for stream in streams:
        answer = client.answer(stream)
        assert (answer.status, bytes(answer.body)) == (403, body)
        client.until(lambda: answer.reset is not None)
        assert answer.reset == NO_ERROR
    assert client.ask().status == 200


def test_bodies_that_are_not_wanted_do_not_use_up_the_connections_window(gateway, origin):
    """More bytes than the connection's window, all on streams whose answer is complete or whose client has reset them."""
    with FrameClient(gateway.https, None) as client:
        stream = 1
        for host in 80 * ["small.test"]:
            client.send(headers(stream, *request("POST", host=host), end=False), *3 * [data(stream, bytes(16000))])
            assert client.status(stream) == 413
            client.ping()
            stream += 2
        client.send(headers(stream, *request("POST", host="app.test"), end=False))
        client.send(*[data(stream, bytes(16000)) for _ in range(4)], data(stream, end=True))
        assert client.status(stream) == 200


# Redirects, fields about the client, cookies.

def test_upstreams_get_the_fields_about_the_client(client, origin):
    """RFC 7239, and what a client claims about itself counts for nothing."""
    client.ask(
        "/", ("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "http"), ("x-forwarded-host", "evil.test"),
        ("forwarded", "for=192.0.2.1"), ("x-real-ip", "192.0.2.1"), ("x-request-id", "abc"))
    request = origin.last
    assert request["X-Forwarded-For"] == request["X-Real-IP"] == "127.0.0.1"
    assert request["X-Forwarded-Proto"] == "https" and request["X-Forwarded-Host"] == "app.test"
    assert request["Forwarded"] == 'for=127.0.0.1;host="app.test";proto=https'
    assert len(request["X-Request-Id"]) == 32


@pytest.mark.parametrize("crumbs, joined", [
    (["a=1"], "a=1"), (["a=1", "b=2", "c=3"], "a=1; b=2; c=3"), (["a=1; b=2", "c=3"], "a=1; b=2; c=3"), (["a=1", "a=1"], "a=1; a=1"),
])
def test_cookies_are_joined(client, origin, crumbs, joined):
    """RFC 9113 section 8.2.3."""
    client.ask("/", ("x", "1"), *(("cookie", crumb) for crumb in crumbs), ("y", "2"))
    assert origin.last.all("Cookie") == [joined]


def test_a_redirect_to_https_is_not_sent_over_https(gateway, origin):
    with Client(gateway.http) as client:
        assert client.get("away.test").status == 301
    with Http2Client(gateway.https, "away.test") as client:
        assert client.ask(host="away.test").status == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_of_upstreams_pass(client, origin, status):
    origin.answer = b"HTTP/1.1 %d Elsewhere\r\nLocation: /there?a=b\r\nContent-Length: 0\r\n\r\n" % status
    answer = client.ask("/here")
    assert (answer.status, answer["location"]) == (status, "/there?a=b")


@pytest.mark.parametrize("fields", [
    [("x", "a" * 70_000)], [(f"x{n}", "1") for n in range(2000)], [("cookie", f"c{n}=1") for n in range(2000)]],
    ids=["bytes", "fields", "cookies"])
def test_a_large_head_is_431_and_its_connection_continues(client, origin, fields):
    before = len(origin.requests)
    for _ in range(3):
        answer = client.ask("/", *fields)
        assert answer.status == 431 and answer.body
        answer = client.ask("/", *fields, body=b"hello")
        assert answer.status == 431
        assert client.ask().status == 200
    assert len(origin.requests) == before + 3


# Log and metrics.

def test_the_access_log_tells_the_version(run, gateway, client, origin):
    client.ask("/logged?a=1", ("user-agent", "me"))
    entry = logged(gateway, "/logged?a=1")
    assert [entry[key] for key in ("protocol", "method", "host", "status", "bytes", "user_agent", "tls_version")] == [
        "h2", "GET", "app.test", 200, 2, "me", "1.3"]
    other = run([{"domain": "fixed.test", "respond": {"body": "here"}}],
                gateway={"access_log": {"to": "access.log", "format": "combined"}})
    with Http2Client(other.https, "fixed.test") as client:
        client.ask("/a", host="fixed.test")
    with Client(other.https, tls_context(), "fixed.test") as client:
        client.get("fixed.test", "/b")
    # Two workers may have written them.
    first, second = sorted(eventually("both lines", lambda: (
        found := lines(other.folder / "access.log")) and len(found) == 2 and found), key=lambda line: "GET /b" in line)
    assert '"GET /a HTTP/2.0" 200 4 "-" "-" "fixed.test"' in first
    assert '"GET /b HTTP/1.1" 200 4 "-" "-" "fixed.test"' in second


def test_metrics_count_connections_requests_and_resets(run, make_origin):
    origin = make_origin()
    origin.answers["/wait"] = lambda connection, _: connection.more()
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}])

    def counts():
        return [int(gateway.metric(f"aegis_http2_{name}")) for name in (
            "connections_total", "requests_total", 'streams_reset_total{by="client"}',
            'streams_reset_total{by="gateway"}', 'connections_broken_total{reason="malformed"}',
            'connections_broken_total{reason="resets"}', 'connections_broken_total{reason="control_frames"}')]

    assert counts() == [0, 0, 0, 0, 0, 0, 0]
    with Http2Client(gateway.https) as client:
        client.ask(), client.ask(body=b"hello")
        assert counts() == [1, 2, 0, 0, 0, 0, 0]
        client.reset(client.begin("/wait"))
        client.ping()
        assert counts() == [1, 3, 1, 0, 0, 0, 0]
    with Client(gateway.https, tls_context(), "app.test") as client:
        client.get()
    assert counts() == [1, 3, 1, 0, 0, 0, 0]
    with FrameClient(gateway.https) as client:
        client.send(data(0, b"hello"))
        assert client.to_end() == PROTOCOL_ERROR
    eventually("the count of it", lambda: counts() == [2, 3, 1, 0, 1, 0, 0])
    assert gateway.metric("aegis_requests_total") == 4


@pytest.mark.parametrize("frames", [
    [headers(1, *request("POST", "/wait"), ("content-length", "1"), end=False), data(1, b"hello")],
    [headers(1, *request(), ("a", "b\r\nc"))],
    [headers(1, *request(), ("A", "b"))],
    [headers(1, *request(scheme="http"))],
], ids=["body", "value", "name", "scheme"])
def test_streams_that_the_gateway_resets_count_as_its_own(gateway, origin, frames):
    def counts():
        return [gateway.metric(f'aegis_http2_streams_reset_total{{by="{who}"}}') for who in ("client", "gateway")]

    by_client, by_gateway = counts()
    with FrameClient(gateway.https) as client:
        client.send(*frames)
        assert client.end_of(1) == (None, b"", PROTOCOL_ERROR)
    assert counts() == [by_client, by_gateway + 1]
