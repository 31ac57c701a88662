"""Clients that are slow on purpose hold nobody up and are cut off."""

import contextlib
import os
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
    assert honest.faults == [] and honest.count > 50, output[-2000:]
    # A sanitizer alone makes a busy machine slower than that.
    assert honest.slowest < 2 or "AEGIS_SANITIZER" in os.environ
    if "-X" in attack:
        # It reads so slowly that it sees no end while it has something left to read.
        assert gateway.metric("aegis_client_aborts_total") >= before + 300
    else:
        assert "No open connections left" in output, output[-2000:]
    figures.append(
        f"slowhttptest {attack[0]}: all connections cut off; {honest.count} honest requests meanwhile, the slowest "
        f"{honest.slowest * 1000:.0f} ms")


def dribble(connection, data):
    """Sends ten bytes a second, as attackers do, until the gateway says something; returns that."""
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


def test_a_dribbled_head_is_408_however_steadily_it_comes(gateway):
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1000
    with socket.create_connection(("127.0.0.1", gateway.http)) as connection:
        answer = dribble(connection, head)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_stops_is_408(gateway):
    with Client(gateway.http) as client:
        client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello")
        assert client.response("POST").status == 408
        assert client.is_closed()


def test_a_client_is_not_late_because_its_upstream_is(run):
    # An address that answers nothing: its queue of connections is full.
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


def test_an_idle_connection_is_closed_without_a_word(gateway):
    with Client(gateway.https, tls_context(), "localhost") as client:
        assert client.get("localhost").status == 200
        assert client.is_closed()


def test_a_reader_that_stops_is_cut_off(gateway, module_origin):
    before = gateway.metric("aegis_client_aborts_total")
    with Client(gateway.http) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eventually("the end of it", lambda: gateway.metric("aegis_client_aborts_total") > before, pause=0.05)
