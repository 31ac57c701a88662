"""Bodies that are complete when their head ends: nothing waits for more, whoever sends them and in whatever form."""

import contextlib
import os
import socket
import subprocess
import threading

import pytest

from client import Client, tls_context
from gateway import eventually
from origin import OK
from test_upgrades import AGREE, ASK, open_socket

# The time in which a client must send the next bytes of its body. Late answers come after this time, so a client that
# was believed to owe more of its body would be refused.
SHORT = "300ms"

EMPTY = {
    "length 0": "Content-Length: 0\r\n\r\n",
    "length 000": "Content-Length: 000\r\n\r\n",
    "no chunk": "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no chunk, trailers": "Transfer-Encoding: chunked\r\n\r\n00;x=y\r\nA: b\r\n\r\n",
    "no framing": "\r\n",
}


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once(
        [
            {"domain": "app.test", "upstreams": [module_origin.url]},
            {"domain": "other.test", "upstreams": [module_origin.url], "preserve_host": False},
        ],
        gateway={"workers": 1, "limits": {"body_progress_timeout": SHORT}})


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("framing", EMPTY)
def test_a_late_answer_to_an_empty_body_arrives(gateway, origin, framing, method, tls):
    origin.answers["/late"] = late(gateway)
    with Client(gateway.https if tls else gateway.http, tls_context() if tls else None, "app.test") as client:
        for _ in range(2):
            response = client.ask(f"{method} /late HTTP/1.1\r\nHost: app.test\r\n{EMPTY[framing]}")
            assert response.status == 200 and response.body == b"ok"
    first, second = origin.requests
    assert first.body == b"" and first.connection == second.connection
    lengths = [first["Content-Length"] is not None, first["Transfer-Encoding"] is not None]
    assert lengths == ["length" in framing, "chunk" in framing]


def late(gateway):
    """Answers long after the time in which a client must send the next bytes of its body."""
    def answer(connection, request):
        # First, another client, which stops within its body, is refused as too slow. So the time is over.
        with Client(gateway.http) as slow:
            slow.send("POST /slow HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1\r\n\r\n")
            assert slow.response("POST").status == 408
        connection.send(OK)

    return answer


@pytest.mark.skipif("AEGIS_SANITIZER" in os.environ, reason="LeakSanitizer can't run under strace")
@pytest.mark.parametrize("framing", EMPTY)
def test_a_head_is_sent_without_waiting_for_its_body(run, make_origin, tmp_path, framing):
    origin, trace = make_origin(), tmp_path / "trace"
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}])
    with traced(gateway.process.pid, trace), Client(gateway.http) as client:
        for body in (EMPTY[framing], "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"):
            assert client.ask(f"POST / HTTP/1.1\r\nHost: app.test\r\n{body}").status == 200
    # With MSG_MORE the kernel would hold data back for up to 200 ms.
    assert "POST / " in trace.read_text() and "MSG_MORE" not in trace.read_text()


@contextlib.contextmanager
def traced(pid, path):
    """Records what a process sends."""
    tracer = subprocess.Popen(
        ["strace", "-f", "-e", "trace=sendto", "-o", path, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    try:
        assert "attached" in tracer.stderr.readline()
        yield
    finally:
        tracer.terminate()
        tracer.communicate()


@pytest.mark.parametrize("framing", ["length 0", "no framing"])
def test_an_empty_body_may_ask_for_an_upgrade(gateway, origin, framing):
    def agree(connection, request):
        connection.send(AGREE + b"hello")
        return False

    origin.answers["/socket"] = agree
    ask = ASK[:-2] + EMPTY[framing]
    with Client(gateway.http) as client:
        open_socket(client, ask)
        assert client.exactly(5) == b"hello"


@pytest.mark.parametrize("framing", EMPTY)
def test_a_client_that_has_closed_its_half_gets_the_answer(gateway, origin, framing):
    ended = threading.Event()

    def after_the_end(connection, request):
        ended.wait(10)
        connection.send(OK)

    origin.answers["/"] = after_the_end
    with Client(gateway.http) as client:
        client.send(f"POST / HTTP/1.1\r\nHost: app.test\r\n{EMPTY[framing]}")
        client.socket.shutdown(socket.SHUT_WR)
        origin.await_requests(1)
        ended.set()
        assert client.response("POST").body == b"ok"
        assert client.is_closed()


@pytest.mark.parametrize("framing", EMPTY)
@pytest.mark.parametrize("host", ["app.test", "other.test"])
def test_an_idempotent_request_is_repeated_after_a_dead_connection(gateway, origin, framing, host):
    def die(connection, request):
        if connection.number == origin.requests[0].connection and len(origin.requests) > 1:
            return False  # a server that closes an idle connection at the moment of its next use
        connection.send(OK)

    origin.answers["/"] = die
    with Client(gateway.http) as client:
        for _ in range(2):
            response = client.ask(f"GET / HTTP/1.1\r\nHost: {host}\r\n{EMPTY[framing]}")
            assert response.status == 200
    assert len({request.connection for request in origin.requests}) == 2


@pytest.mark.parametrize("answer, method", [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", "GET"),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD"),
    (b"HTTP/1.1 200 OK\r\n\r\n", "HEAD"),
], ids=["length 0", "no chunk", "204", "304", "HEAD length", "HEAD chunked", "HEAD until close"])
def test_an_answer_without_a_body_ends_with_its_head(gateway, origin, answer, method):
    origin.answers["/"] = answer
    with Client(gateway.http) as client:
        for _ in range(2):
            response = client.ask(f"{method} / HTTP/1.1\r\nHost: app.test\r\n\r\n")
            assert response.body == b"" and response.status == int(answer[9:12])
    eventually("both requests", lambda: len(origin.requests) == 2)
