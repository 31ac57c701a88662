"""What the access log says of requests that were refused, and of answers that were cut off."""

import json
import re
import socket

import pytest

from access_log import lines
from client import Client
from gateway import eventually, free_port


def cut_by_upstream(gateway, client, origin):
    client.send("GET /cut HTTP/1.1\r\nHost: app.test\r\n\r\n")
    client.until(b"hello")
    origin.connections[-1].close()


def cut_by_slow_upstream(gateway, client, origin):
    client.send("GET /cut HTTP/1.1\r\nHost: app.test\r\n\r\n")
    client.until(b"hello")
    client.to_end()


def cut_by_client(gateway, client, origin):
    client.send("GET /cut HTTP/1.1\r\nHost: app.test\r\n\r\n")
    client.until(b"hello")
    # A client that only ends its sending side may still read. A reset is the end of both.
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


# By name: a function that makes one side cut an answer off, and the error in the log line.
CUTS = {
    "upstream": (cut_by_upstream, "the upstream broke off its answer"),
    "slow upstream": (cut_by_slow_upstream, "the upstream took too long"),
    "client": (cut_by_client, "the client left"),
}


@pytest.mark.parametrize("form", ["json", "combined"])
@pytest.mark.parametrize("who", CUTS)
def test_a_line_tells_that_an_answer_was_cut(run, make_origin, who, form):
    cut, error = CUTS[who]
    origin = make_origin()

    def begin(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        connection.more()
        return False

    origin.answers["/cut"] = begin
    read = "1s" if who == "slow upstream" else "1m"
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url], "timeouts": {"read": read}}],
        gateway={"workers": 1, "access_log": {"to": "access.log", "format": form}})
    with Client(gateway.http) as client:
        assert client.get("app.test", "/whole").status == 200
        cut(gateway, client, origin)
        whole, broken = eventually(
            "both lines", lambda: (found := lines(gateway.folder / "access.log")) and len(found) == 2 and found)
    if form == "json":
        assert "error" not in json.loads(whole)
        assert [json.loads(broken)[key] for key in ("status", "bytes", "error")] == [200, 5, error]
    else:
        assert whole.endswith(' 200 2 "-" "-" "app.test"')
        assert broken.endswith(' 200 5 "-" "-" "app.test" X')


HOST = "Host: app.test\r\n"
CHUNKED = HOST + "Transfer-Encoding: chunked\r\n\r\n"
# By name: the status and the request.
REFUSALS = {
    "malformed": (400, "GET / HTTP/1.1\r\nHost : app.test\r\n\r\n"),
    "malformed chunks": (400, f"POST / HTTP/1.1\r\n{CHUNKED}x\r\n"),
    "unknown host": (404, "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n"),
    "method": (405, f"TRACE / HTTP/1.1\r\n{HOST}\r\n"),
    "slow head": (408, "GET / HT"),
    "slow body": (408, f"POST / HTTP/1.1\r\n{HOST}Content-Length: 9\r\n\r\nhi"),
    "large body": (413, f"POST / HTTP/1.1\r\n{HOST}Content-Length: 2000\r\n\r\n"),
    "large chunks": (413, f"POST / HTTP/1.1\r\n{CHUNKED}7d0\r\n"),
    "large head": (431, f"GET / HTTP/1.1\r\n{HOST}A: {2000 * 'a'}\r\n\r\n"),
    "nobody answers": (502, f"GET / HTTP/1.1\r\n{HOST}\r\n"),
    "version": (505, f"GET / HTTP/3.0\r\n{HOST}\r\n"),
    "fixed": (200, "GET / HTTP/1.1\r\nHost: fixed.test\r\n\r\n"),
    "large fixed": (200, "GET / HTTP/1.1\r\nHost: large.test\r\n\r\n"),
    "plain": (301, "GET / HTTP/1.1\r\nHost: secure.test\r\n\r\n"),
}


@pytest.mark.parametrize("form", ["json", "combined"])
def test_a_line_has_the_number_of_body_bytes_sent(run, form):
    limits = {"request_header_timeout": "1s", "body_progress_timeout": "1s", "body_bytes": "1000B", "header_bytes": "1KiB"}
    gateway = run(
        [
            {"domain": "app.test", "upstreams": [f"http://127.0.0.1:{free_port()}"]},
            {"domain": "fixed.test", "respond": {"body": "hello"}},
            {"domain": "large.test", "respond": {"body": 300_000 * "x"}},
            {"domain": "secure.test", "respond": {"body": "hello"}, "ssl_mode": "custom", "certificate": "web",
             "force_https": True},
        ],
        issuers={"lan": {"type": "local_ca"}}, certificates={"web": {"issuer": "lan", "domains": ["secure.test"]}},
        gateway={"workers": 1, "limits": limits, "access_log": {"to": "access.log", "format": form}})
    expected = []
    for name, (status, request) in REFUSALS.items():
        for method in (None, "HEAD"):
            if method and request.startswith(("POST", "TRACE")):
                continue
            with Client(gateway.http) as client:
                client.send(request if not method else request.replace("GET", method, 1))
                response = client.response(method or "GET")
            assert response.status == status, name
            assert method is None or response.body == b""
            expected.append((name, status, len(response.body)))

    def told():
        text = (gateway.folder / "access.log").read_text()
        if form == "json":
            return [(entry["status"], entry["bytes"]) for entry in map(json.loads, text.splitlines())]
        return [tuple(map(int, re.search(r'" (\d+) (\d+) "', line).groups())) for line in text.splitlines()]

    eventually("all lines", lambda: len(told()) == len(expected))
    assert [(name, *line) for (name, *_), line in zip(expected, told())] == expected
    # Only a redirect has an empty body.
    assert sum(size > 0 for *_, size in expected) == len(REFUSALS) - 1


# By name: the error in the log line of a refusal in REFUSALS.
REASONS = {
    "malformed": "white space before a colon",
    "malformed chunks": "malformed chunk size",
    "slow head": "the request took too long",
    "slow body": "the request took too long",
    "large body": "the body is too large",
    "large chunks": "the body is too large",
}


@pytest.mark.parametrize("name", REASONS)
def test_a_refusal_is_logged_with_its_reason_whether_or_not_the_head_was_read(run, name):
    limits = {"request_header_timeout": "1s", "body_progress_timeout": "1s", "body_bytes": "1000B"}
    gateway = run(
        [{"domain": "app.test", "upstreams": [f"http://127.0.0.1:{free_port()}"]}],
        gateway={"workers": 1, "limits": limits, "access_log": {"to": "access.log", "format": "json"}})
    status, request = REFUSALS[name]
    with Client(gateway.http) as client:
        client.send(request)
        assert client.response("POST").status == status
        assert client.is_closed()
    line, = map(json.loads, lines(gateway.folder / "access.log"))
    assert (line["status"], line.get("error")) == (status, REASONS[name])


def test_a_bad_body_is_logged_with_its_reason_when_the_answer_has_begun(run, make_origin):
    origin = make_origin()

    def begin(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
        while connection.more():
            pass

    origin.early["/"] = begin
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"workers": 1, "limits": {"body_buffer_bytes": 0}, "access_log": {"to": "access.log", "format": "json"}})
    with Client(gateway.http) as client:
        client.send(f"POST / HTTP/1.1\r\n{CHUNKED}2\r\nhi\r\n")
        assert client.head().status == 200
        client.send("x\r\n")
        assert client.to_end() == b"he"
    line, = map(json.loads, lines(gateway.folder / "access.log"))
    assert (line["status"], line.get("error")) == (200, "malformed chunk size")
