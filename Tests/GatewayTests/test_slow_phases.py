"""Peers that stop in each phase of a connection: they are closed in time, and delay nobody."""

import contextlib
import signal
import socket
import threading
import time

import pytest

from client import Client
from flood import HONEST, watched
from gateway import PATIENCE, eventually
from origin import OK
from records import client_hello
from test_upgrades import AGREE, ASK
from tls_records import RawTLS

COUNT = 50
LARGE = 8 << 20
LIMITS = {
    "handshake_timeout": "1s", "request_header_timeout": "1s", "body_progress_timeout": "1s", "idle_timeout": "1s"}
TIMEOUTS = {"connect": "1s", "read": "1s", "write": "1s", "tunnel": "1s"}
POST = "POST / HTTP/1.1\r\nHost: app.test\r\n"


@pytest.fixture
def origin(make_origin):
    return make_origin()


def start(run, origin):
    return run(
        [
            {"domain": "app.test", "upstreams": [origin.url], "timeouts": TIMEOUTS, "limits": {"body_bytes": "0"}},
            HONEST,
        ],
        gateway={"workers": 1, "limits": LIMITS})


def connect(gateway, said, tls=False, reads_little=False):
    """A client that sends some bytes and then nothing."""
    connection = socket.socket()
    if reads_little:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", gateway.https if tls else gateway.http))
    connection.sendall(said.encode() if isinstance(said, str) else said)
    return connection


# By phase: what a client sends before it stops, whether over TLS, and whether it reads what it gets.
CLIENTS = {
    "nothing": (b"", False, True),
    "no hello": (b"", True, True),
    "within the hello": (client_hello("app.test")[:100], True, True),
    "no answer to the hello": (client_hello("app.test"), True, True),
    "within the head": ("GET / HTTP/1.1\r\nHost: ap", False, True),
    "no body": (POST + "Content-Length: 10\r\n\r\n", False, True),
    "within a small body": (POST + "Content-Length: 10\r\n\r\nhello", False, True),
    "within a large body": (POST + "Content-Length: 1000000\r\n\r\n" + "x" * 100_000, False, True),
    "within a chunk's line": (POST + "Transfer-Encoding: chunked\r\n\r\n5;x=", False, True),
    "within the trailers": (POST + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: ", False, True),
    "the answer unread": ("GET /large HTTP/1.1\r\nHost: app.test\r\n\r\n", False, False),
    "behind an answer": ("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n", False, True),
    "a silent tunnel": (ASK, False, True),
    "a tunnel that is not read": (ASK.replace("/socket", "/flood"), False, False),
}


def flood(connection, request):
    connection.send(AGREE)
    with contextlib.suppress(OSError):
        while True:
            connection.send(bytes(1 << 16))
    return False


def set_up(origin):
    origin.answers["/large"] = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE + bytes(LARGE)
    origin.answers["/socket"] = lambda connection, request: connection.send(AGREE) or connection.more()
    origin.answers["/flood"] = flood


def open_connections(gateway):
    """The number of open connections of clients, which includes the honest client's."""
    return gateway.metric("aegis_connections_open")


@pytest.mark.parametrize("phase", CLIENTS)
def test_clients_that_stop_are_cut_off(run, origin, phase, figures):
    said, tls, reads = CLIENTS[phase]
    set_up(origin)
    gateway = start(run, origin)
    # The gateway holds the unsent data of clients that read nothing, up to the size of one read for each.
    with watched(gateway, f"{COUNT} clients: {phase}", figures, COUNT * (256 << 10)):
        # Data for clients that read nothing fill the kernel's buffers first, of some MiB each.
        held = [connect(gateway, said, tls, not reads) for _ in range(COUNT if reads else COUNT // 10)]
        # Only the honest client's connection stays open.
        eventually("that they are let go", lambda: open_connections(gateway) <= 1)
        for connection in held:
            connection.close()


# By phase: what an upstream does before it stops.
UPSTREAMS = {
    "no answer": (b"", 504),
    "within the head": (b"HTTP/1.1 200 OK\r\nContent-Le", 504),
    "behind an interim answer": (b"HTTP/1.1 103 Early Hints\r\n\r\n", 504),
    "no body": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", None),
    "within the body": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", None),
    "within a chunk's line": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x", None),
    "within the trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: ", None),
    "before an end that does not come": (b"HTTP/1.1 200 OK\r\n\r\nhello", None),
}


@pytest.mark.parametrize("phase", UPSTREAMS)
def test_upstreams_that_stop_are_abandoned(run, origin, phase, figures):
    said, status = UPSTREAMS[phase]
    gateway = start(run, origin)

    def stop(connection, request):
        connection.send(said)
        return not connection.more()

    origin.answers["/"] = stop
    with watched(gateway, f"{COUNT} upstreams: {phase}", figures, COUNT * (128 << 10)), contextlib.ExitStack() as held:
        clients = [held.enter_context(Client(gateway.http)) for _ in range(COUNT)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        for client in clients:
            if status:
                assert client.response().status == status
            else:
                assert client.head().status == 200
                # Whatever the client got, it has no last chunk.
                with contextlib.suppress(ConnectionError):
                    assert not client.to_end().endswith(b"0\r\n\r\n")


def test_upstreams_that_stop_within_their_handshake_are_abandoned(run, figures):
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        gateway = run(
            [{"domain": "app.test", "upstreams": [url], "timeouts": TIMEOUTS}, HONEST],
            gateway={"workers": 1, "limits": LIMITS})
        with watched(gateway, f"{COUNT} upstreams: no server hello", figures, COUNT * (256 << 10)):
            clients = [Client(gateway.http) for _ in range(COUNT)]
            for client in clients:
                client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
            for client in clients:
                assert client.response().status == 504
                client.close()


def test_upstreams_that_read_no_body_are_abandoned(run, origin, figures):
    def stop(connection, request):
        ended.wait(20)
        return False

    ended = threading.Event()
    origin.early["/"] = stop
    gateway = start(run, origin)
    with watched(gateway, f"{COUNT // 4} upstreams: the body not taken", figures, COUNT * (128 << 10)):
        statuses = []

        def upload():
            with Client(gateway.http) as client:
                with contextlib.suppress(ConnectionError):
                    client.send(POST + f"Content-Length: {LARGE}\r\n\r\n", bytes(LARGE))
                statuses.append(client.response("POST").status)

        threads = [threading.Thread(target=upload) for _ in range(COUNT // 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    ended.set()
    assert statuses == [504] * (COUNT // 4)


# The end.

def until_told_to_close(client):
    """The Connection field of each answer, up to the answer that says close."""
    told = []
    while not told or told[-1] != "close":
        told.append(client.get("honest.test")["Connection"])
        time.sleep(0.01)  # the pace of the client
    return told


@pytest.mark.parametrize("how", ["SIGTERM", "SIGUSR2"])
def test_peers_that_stop_do_not_keep_a_process_from_ending(run, origin, how):
    """Peers in all phases at once."""
    set_up(origin)
    origin.answers["/"] = lambda connection, request: connection.send(b"HTTP/1.1 200 OK\r\n") or connection.more()
    gateway = start(run, origin)
    former = gateway.process
    held = [connect(gateway, said, tls, not reads) for said, tls, reads in CLIENTS.values() for _ in range(5)]
    with RawTLS(gateway.https) as silent, Client(gateway.http) as honest:
        assert honest.get("honest.test").body == b"ok"
        origin.await_requests(5)
        # A kept connection without a request is closed within a second.
        told = []
        asking = threading.Thread(target=lambda: told.extend(until_told_to_close(honest)))
        asking.start()
        if how == "SIGTERM":
            former.send_signal(signal.SIGTERM)
            gateway.await_log("ending")
        else:
            gateway.upgrade()
        # After the last answer on the kept connection the process ends, long before its deadline.
        asking.join(PATIENCE)
        assert told and told[-1] == "close"
        assert former.wait(20) == 0
        assert "are cut off" not in gateway.log
        silent.socket.close()
    for connection in held:
        connection.close()
    if how == "SIGUSR2":
        with Client(gateway.http) as client:
            assert client.get("honest.test").body == b"ok"
