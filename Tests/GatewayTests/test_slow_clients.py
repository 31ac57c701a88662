"""Clients that are slow on purpose delay nobody and are cut off."""

import contextlib
import select
import socket
import subprocess
import threading

import pytest

from client import Client, tls_context
from gateway import PATIENCE, eventually
from honest import Honest

LIMITS = {
    "request_header_timeout": "1s", "body_progress_timeout": "1s", "idle_timeout": "1s", "handshake_timeout": "1s",
}


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    large = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (8 << 20) + bytes(8 << 20)
    module_origin.forget()
    module_origin.answers["/large"] = large
    return run_once(
        [
            {"domain": "localhost", "upstreams": [module_origin.url]},
            {"domain": "honest.test", "respond": {"status": 200, "body": "ok"}},
        ],
        gateway={"limits": LIMITS})


@pytest.mark.parametrize("attack", [
    ["-H", "-i", "2", "-x", "10"],
    ["-B", "-i", "2", "-s", "100000", "-x", "10"],
    ["-X", "-n", "2", "-w", "10", "-y", "20", "-z", "5", "-k", "2"],
], ids=["slow heads", "slow bodies", "slow reading"])
def test_slowhttptest_is_cut_off_while_others_are_served(gateway, attack, figures):
    target = f"http://localhost:{gateway.http}/" + ("large" if "-X" in attack else "")
    before = gateway.metric("aegis_client_aborts_total")
    with Honest(gateway) as honest:
        done = subprocess.run(
            ["slowhttptest", *attack, "-c", "300", "-r", "150", "-l", "8", "-p", "2", "-u", target],
            capture_output=True, text=True, timeout=PATIENCE * 3)
    output = done.stdout + done.stderr
    # Nobody is locked out: requests are answered, one after another, while the attack lasts.
    assert honest.faults == [] and honest.count > 5, output[-2000:]
    if "-X" in attack:
        # The client reads so slowly that it still has data to read when the gateway closes.
        assert gateway.metric("aegis_client_aborts_total") >= before + 300
    else:
        assert "No open connections left" in output, output[-2000:]
    figures.append(
        f"slowhttptest {attack[0]}: all connections cut off; {honest.count} honest requests meanwhile, the slowest "
        f"{honest.slowest * 1000:.0f} ms")


def dribble(connection, data):
    """Sends ten bytes a second, as attackers do, until the gateway answers; returns the answer."""
    connection.settimeout(PATIENCE)
    for byte in data:
        connection.sendall(bytes([byte]))
        if select.select([connection], [], [], 0.1)[0]:
            break
    answer = b""
    try:
        while piece := connection.recv(4096):
            answer += piece
    except ConnectionError:
        pass
    return answer


def test_a_head_sent_in_drops_is_408(gateway):
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1000
    with socket.create_connection(("127.0.0.1", gateway.http)) as connection:
        answer = dribble(connection, head)
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.fixture(scope="module")
def patient(run_once, module_origin):
    """A gateway that waits long for a request's first byte, and a short time for the rest."""
    hosts = [
        {"domain": "localhost", "upstreams": [module_origin.url]},
        {"domain": "honest.test", "respond": {"status": 200, "body": "ok"}},
    ]
    return run_once(hosts, gateway={"limits": LIMITS | {"idle_timeout": "1h"}})


@pytest.mark.parametrize("host", ["localhost", "honest.test"])
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("more", ["G", "\r\nG", "GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_a_head_after_another_request_has_no_extra_time(patient, host, tls, more):
    with Client(patient.https, tls_context(), host) if tls else Client(patient.http) as client:
        client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n{more}")
        assert client.response().status == 200
        assert client.response().status == 408
        assert client.is_closed()


@pytest.mark.parametrize("more", ["", "\r", "\r\n", "\r\n\r"])
@pytest.mark.parametrize("host", ["localhost", "honest.test"])
def test_an_empty_line_after_a_request_does_not_begin_another(gateway, host, more):
    """RFC 9112 section 2.2: the line is ignored. The gateway closes the idle connection without an answer."""
    with Client(gateway.http) as client:
        client.send(f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi{more}")
        assert client.response("POST").status == (200 if host == "localhost" else 405)
        assert client.is_closed()


def test_an_answer_that_has_begun_is_not_cut_when_its_client_stops_sending(gateway, module_origin):
    """RFC 9112 section 9.5: a client stops sending its body when it gets an error."""
    stopped = threading.Event()

    def answer(connection, request):
        connection.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\n")
        for digit in b"0123456789":
            # Ten pauses of 0.3 s exceed the body deadline together; each alone does not. The pause is the slow upstream
            # that this test is about, not a wait for something.
            stopped.wait(0.3)
            connection.send(bytes([digit]))
        while connection.more():
            connection.buffer.clear()
        return False

    module_origin.early["/early"] = answer
    for framing, body in ("Content-Length: 1000000", bytes(100_000)), ("Transfer-Encoding: chunked", b"f4240\r\n" + bytes(100_000)):
        with Client(gateway.http) as client:
            client.send(f"POST /early HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n", body)
            response = client.response("POST")
            assert (response.status, response.body) == (403, b"0123456789")
            assert client.is_closed()


def test_an_answer_that_stops_midway_ends_even_if_its_client_continues_to_send(run, make_origin):
    def answer(connection, request):
        connection.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\n0123")
        while connection.more():
            connection.buffer.clear()
        return False

    origin = make_origin()
    origin.early["/early"] = answer
    gateway = run([{"domain": "localhost", "upstreams": [origin.url], "timeouts": {"read": "1s"}}])
    with Client(gateway.http) as client:
        client.send("POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n", bytes(100_000))
        client.socket.settimeout(0.05)

        def is_over():
            try:
                client.send(b"x")
                return client.socket.recv(1000) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        eventually("the end of it", is_over)
    gateway.await_log("no answer from", "the answer took too long")


def test_a_body_that_stops_is_408(gateway):
    with Client(gateway.http) as client:
        client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello")
        assert client.response("POST").status == 408
        assert client.is_closed()


def test_a_slow_upstream_does_not_make_its_client_late(run):
    # An address that answers nothing: its listener's queue is full.
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            connection = waiting.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex(full.getsockname())
        gateway = run(
            [{"domain": "app.test", "upstreams": [f"http://127.0.0.1:{full.getsockname()[1]}"],
              "timeouts": {"connect": "2s"}}],
            gateway={"limits": LIMITS | {"request_header_timeout": "500ms"}})
        with Client(gateway.http) as client:
            assert client.get().status == 504


def test_an_idle_connection_is_closed_without_an_answer(gateway):
    with Client(gateway.https, tls_context(), "localhost") as client:
        assert client.get("localhost").status == 200
        assert client.is_closed()


def test_a_reader_that_stops_is_cut_off(gateway, module_origin):
    before = gateway.metric("aegis_client_aborts_total")
    with Client(gateway.http) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eventually("the end of it", lambda: gateway.metric("aegis_client_aborts_total") > before, pause=0.05)
