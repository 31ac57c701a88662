"""Clients that send what costs much and brings nothing, or don't read what they are owed: they end, nobody else waits."""

import contextlib
import os
import select
import socket
import threading
import time

import pytest

from client import Client
from gateway import PATIENCE, eventually
from process import memory_bytes
from test_upgrades import ASK, echo, open_socket
from tls_records import TLS_1_2, RawTLS

UPLOAD = b"POST /upload HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5000000\r\n\r\n"


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once(
        [
            {"domain": "app.test", "upstreams": [module_origin.url]},
            {"domain": "honest.test", "respond": {"status": 200, "body": "ok"}},
        ],
        gateway={"workers": 1})


class Honest(threading.Thread):
    """A client that asks again and again on one connection, and takes the time of each answer."""

    def __init__(self, gateway):
        super().__init__(daemon=True)
        self.gateway, self.times, self.faults, self.stopping = gateway, [], [], threading.Event()

    def __enter__(self):
        self.start()
        eventually("the first answers", lambda: len(self.times) >= 20 or self.faults)
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join(PATIENCE)

    def run(self):
        try:
            with Client(self.gateway.http) as client:
                while not self.stopping.wait(0.001):
                    started = time.monotonic()
                    assert client.get("honest.test").body == b"ok"
                    self.times.append(time.monotonic() - started)
        except Exception as fault:
            self.faults.append(repr(fault))

    def quantile(self, share, start=0):
        times = sorted(self.times[start:])
        return times[min(len(times) - 1, int(len(times) * share))] * 1000


@contextlib.contextmanager
def watched(gateway, what, figures, bytes_more=4 << 20):
    """Sees what a flood costs: answers of an honest client go on, and memory stays."""
    with Honest(gateway) as honest:
        eventually("times at rest", lambda: len(honest.times) >= 300 or honest.faults)
        at_rest = len(honest.times)
        rest = honest.quantile(0.5), honest.quantile(0.99)
        before = memory_bytes(gateway.process.pid)
        yield honest
        eventually("times in the flood", lambda: len(honest.times) >= at_rest + 20 or honest.faults)
        more = memory_bytes(gateway.process.pid) - before
        figures.append(
            f"{what}: honest p50 {rest[0]:.2f} → {honest.quantile(0.5, at_rest):.2f} ms, p99 {rest[1]:.2f} → "
            f"{honest.quantile(0.99, at_rest):.2f} ms, memory {more / 1024:+.0f} KiB")
    assert honest.faults == []
    assert more < bytes_more or "AEGIS_SANITIZER" in os.environ


def send_without_reading(connection, data, times):
    """Sends data again and again as fast as it is taken, and reads nothing. Whether the other end has closed."""
    end = time.monotonic() + PATIENCE
    connection.settimeout(1)
    for _ in range(times):
        try:
            connection.sendall(data)
        except TimeoutError:
            return False  # it is not read from
        except OSError:
            return True
        assert time.monotonic() < end
    return False


def is_ended(connection):
    """Waits for the end of a connection, whatever comes before it."""
    connection.settimeout(PATIENCE)
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("phase", ["head", "upload", "tunnel", "answer"])
def test_a_flood_of_key_updates_ends(gateway, origin, phase, figures):
    origin.answers["/socket"] = echo
    origin.answers["/large"] = b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n" + bytes(20_000_000)
    first = {
        "head": b"GET / HTTP/1.1\r\n", "upload": UPLOAD + bytes(100_000), "tunnel": ASK.encode(),
        "answer": b"GET /large HTTP/1.1\r\nHost: app.test\r\n\r\n",
    }[phase]
    with RawTLS(gateway.https) as flood, watched(gateway, f"key updates within {phase}", figures):
        flood.socket.sendall(flood.data(first))
        if phase == "tunnel":
            eventually("the tunnel", lambda: origin.requests)
        updates = b"".join(flood.key_update() for _ in range(20_000))
        if not send_without_reading(flood.socket, updates, 1):
            # Whoever does not read an answer is cut off in the end; until then nothing more of it is read.
            assert phase in ("answer", "tunnel") or is_ended(flood.socket)


@pytest.mark.parametrize("pause", [False, True], ids=["in one piece", "record by record"])
def test_key_updates_are_bounded_a_second(gateway, pause):
    with RawTLS(gateway.https) as client:
        client.socket.sendall(client.data(b"GET / HTTP/1.1\r\n"))
        updates = [client.key_update() for _ in range(200)]
        sent = 0
        with contextlib.suppress(OSError):
            for update in updates if pause else [b"".join(updates)]:
                client.socket.sendall(update)
                sent += 1
        assert is_ended(client.socket)


@pytest.mark.parametrize("count", [1, 10])
def test_a_few_key_updates_are_welcome(gateway, origin, count):
    with RawTLS(gateway.https) as client:
        request = b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"
        for _ in range(2):
            client.socket.sendall(b"".join(client.key_update() for _ in range(count)) + client.data(request))
            answer = b""
            while not answer.endswith(b"\r\n\r\nok"):
                assert client.receive()
                while piece := client.read():
                    answer += piece


def test_one_byte_a_record_holds_nobody_up(gateway, origin, figures):
    with RawTLS(gateway.https) as flood, watched(gateway, "uploads of one byte a record", figures):
        body = b"".join(flood.data(b"x") for _ in range(100_000))
        origin.early["/upload"] = lambda connection, request: connection.exactly(100_000) and False
        flood.socket.sendall(flood.data(UPLOAD))
        send_without_reading(flood.socket, body, 1)


def test_many_requests_at_once_hold_nobody_up(gateway, figures):
    requests = b"GET / HTTP/1.1\r\nHost: honest.test\r\n\r\n" * 20_000
    with Client(gateway.http) as flood, watched(gateway, "pipelined requests", figures):
        reader = threading.Thread(target=lambda: is_ended(flood.socket), daemon=True)
        reader.start()
        flood.socket.sendall(requests)
        flood.socket.shutdown(socket.SHUT_WR)
        reader.join(PATIENCE)
        assert not reader.is_alive()


def test_answers_that_nobody_reads_stop_the_requests(gateway, figures):
    with Client(gateway.http) as flood, watched(gateway, "requests whose answers nobody reads", figures):
        assert not send_without_reading(flood.socket, b"GET / HTTP/1.1\r\nHost: honest.test\r\n\r\n" * 1000, 1000)


@pytest.mark.parametrize("version", [None, TLS_1_2], ids=["TLS 1.3", "TLS 1.2"])
def test_records_behind_a_bad_one_are_nobodys(gateway, origin, version):
    with RawTLS(gateway.https, version=version) as client:
        request = client.data(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        client.socket.sendall(request + b"\x17\x03\x03\x00\x20" + bytes(32))
        assert is_ended(client.socket)


# Bodies.

def test_slow_bodies_hold_no_upstream(run, make_origin, figures):
    origin = make_origin()
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"workers": 1, "limits": {"body_progress_timeout": "2s", "body_min_rate": "100B"}})
    slow = []
    for number in range(300):
        client = Client(gateway.http)
        client.send(f"POST /{number} HTTP/1.1\r\nHost: app.test\r\nContent-Length: {1000 if number % 2 else 1_000_000}\r\n\r\n")
        slow.append(client)

    def drip():
        while slow and not stopping.wait(0.5):
            for client in slow:
                with contextlib.suppress(OSError):
                    client.send(b"x")

    stopping = threading.Event()
    dripping = threading.Thread(target=drip, daemon=True)
    dripping.start()
    # Steady as they come, they are too slow: each hears of it.
    for client in slow:
        assert client.response("POST").status == 408
    stopping.set()
    dripping.join()
    assert origin.requests == [] and origin.connections == []
    with Client(gateway.http) as client:
        client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\n")
        for _ in range(3):
            time.sleep(0.3)  # slower than the rate, but within the first time of all
            client.send("x")
        assert client.response("POST").status == 200


def test_a_body_faster_than_the_rate_may_take_its_time(run, make_origin):
    origin = make_origin()
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"workers": 1, "limits": {"body_progress_timeout": "500ms", "body_min_rate": "100B"}})
    with Client(gateway.http) as client:
        client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2000\r\n\r\n")
        for _ in range(20):
            client.send(bytes(100))
            time.sleep(0.1)  # 1000 bytes a second
        assert client.response("POST").status == 200


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 300_000])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize("expects", [False, True], ids=["", "100-continue"])
def test_a_body_of_any_size_arrives_whole(gateway, origin, size, chunked, expects):
    body = os.urandom(size)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    with Client(gateway.http) as client:
        client.send(
            "POST / HTTP/1.1\r\nHost: app.test\r\n" + framing + "\r\n"
            + ("Expect: 100-continue\r\n" if expects else "") + "\r\n")
        if expects:
            assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        client.send(b"%x\r\n%s\r\n0\r\n\r\n" % (size, body) if chunked else body)
        assert client.response("POST").status == 200
    assert origin.last.body == body


def test_no_upstream_is_taken_before_a_small_body_is_whole(gateway, origin):
    connections = len(origin.connections)
    with Client(gateway.http) as client:
        client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\nhello")
        # A later request is served first.
        with Client(gateway.http) as other:
            assert other.get().status == 200
        assert [request.method for request in origin.requests] == ["GET"]
        client.send("world")
        assert client.response("POST").status == 200
    assert origin.last.body == b"helloworld" and len(origin.connections) <= connections + 2
