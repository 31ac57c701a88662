"""Clients that send what is costly and useless, or don't read their answers: their connections end, and nobody else
waits."""

import contextlib
import json
import os
import socket
import threading
import time

import pytest

from client import Client
from flood import HONEST, is_ended, send_without_reading, watched
from gateway import PATIENCE, eventually
from process import held
from records import ALERT, APPLICATION_DATA, records
from test_upgrades import ASK, echo
from tls_records import TLS_1_2, RawTLS

UPLOAD = b"POST /upload HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5000000\r\n\r\n"


# Time limits so long that no connection ends for being slow.
PATIENT = {"request_header_timeout": "10m", "body_progress_timeout": "10m", "idle_timeout": "10m"}


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once(
        [{"domain": "app.test", "upstreams": [module_origin.url]}, HONEST],
        gateway={"workers": 1, "limits": PATIENT, "access_log": {"to": "access.log", "format": "json"}})


@pytest.mark.parametrize("phase", ["head", "upload", "tunnel", "answer"])
def test_a_flood_of_key_updates_is_cut_off(gateway, origin, phase, figures):
    origin.answers["/socket"] = echo
    origin.answers["/large"] = b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n" + bytes(20_000_000)
    first = {
        "head": b"GET / HTTP/1.1\r\n", "upload": UPLOAD + bytes(10_000), "tunnel": ASK.encode(),
        "answer": b"GET /large HTTP/1.1\r\nHost: app.test\r\n\r\n",
    }[phase]
    with RawTLS(gateway.https) as flood, watched(gateway, f"key updates within {phase}", figures):
        flood.socket.sendall(flood.data(first[:len(first) // 2]) + flood.data(first[len(first) // 2:]))
        if phase == "tunnel":
            eventually("the tunnel", lambda: origin.requests)
        updates = b"".join(flood.key_update() for _ in range(20_000))
        if not send_without_reading(flood.socket, updates, 1):
            # A client that does not read its answer is cut off in the end; until then the gateway reads no more of the
            # answer.
            assert phase in ("answer", "tunnel") or is_ended(flood.socket)


@pytest.mark.parametrize("pause", [False, True], ids=["in one piece", "record by record"])
def test_key_updates_are_limited_for_each_second(gateway, pause):
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
def test_a_few_key_updates_are_accepted(gateway, origin, count):
    with RawTLS(gateway.https) as client:
        request = b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"
        for _ in range(2):
            client.socket.sendall(b"".join(client.key_update() for _ in range(count)) + client.data(request))
            answer = b""
            while not answer.endswith(b"\r\n\r\nok"):
                assert client.receive()
                while piece := client.read():
                    answer += piece


def test_one_byte_records_delay_nobody(gateway, origin, figures):
    with RawTLS(gateway.https) as flood, watched(gateway, "uploads of one byte a record", figures):
        body = b"".join(flood.data(b"x") for _ in range(100_000))
        origin.early["/upload"] = lambda connection, request: connection.exactly(100_000) and False
        flood.socket.sendall(flood.data(UPLOAD))
        send_without_reading(flood.socket, body, 1)


def test_many_requests_at_once_delay_nobody(gateway, figures):
    requests = b"GET / HTTP/1.1\r\nHost: honest.test\r\n\r\n" * 20_000
    with Client(gateway.http) as flood, watched(gateway, "pipelined requests", figures):
        reader = threading.Thread(target=lambda: is_ended(flood.socket), daemon=True)
        reader.start()
        flood.socket.sendall(requests)
        flood.socket.shutdown(socket.SHUT_WR)
        reader.join(PATIENCE)
        assert not reader.is_alive()


def test_many_requests_of_one_client_alternate_with_those_of_others(gateway):
    with Client(gateway.http) as flood, Client(gateway.http) as honest:
        for client in (flood, honest):
            assert client.get("honest.test", "/first").status == 200
        with held(gateway.process.pid):
            flood.send("GET /flood HTTP/1.1\r\nHost: honest.test\r\n\r\n" * 4000)
            honest.send("GET /honest HTTP/1.1\r\nHost: honest.test\r\n\r\n")
        assert honest.response().body == b"ok"
        for _ in range(4000):
            assert flood.response().body == b"ok"

    def targets():
        lines = (gateway.folder / "access.log").read_text().splitlines(keepends=True)
        return [json.loads(line)["target"] for line in lines if line.endswith("\n")]

    eventually("all lines", lambda: targets().count("/flood") == 4000)
    order = [target for target in targets() if target in ("/flood", "/honest")]
    # Twice a turn's share, since the flood may have had one turn for an event and one from the queue.
    assert order.index("/honest") <= 2 * 4


def test_answers_that_nobody_reads_stop_the_requests(gateway, figures):
    with Client(gateway.http) as flood, watched(gateway, "requests whose answers nobody reads", figures):
        assert not send_without_reading(flood.socket, b"GET / HTTP/1.1\r\nHost: honest.test\r\n\r\n" * 1000, 1000)


@pytest.mark.parametrize("version", [None, TLS_1_2], ids=["TLS 1.3", "TLS 1.2"])
def test_records_after_a_bad_record_are_ignored(gateway, origin, version):
    with RawTLS(gateway.https, version=version) as client:
        request = client.data(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        client.socket.sendall(request + b"\x17\x03\x03\x00\x20" + bytes(32))
        assert is_ended(client.socket)


@pytest.mark.parametrize("version", [None, TLS_1_2], ids=["TLS 1.3", "TLS 1.2"])
@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\n", UPLOAD], ids=["nothing", "half a head", "an upload"])
def test_the_alert_for_a_bad_record_reaches_a_client_that_continues_to_send(gateway, origin, before, version):
    with RawTLS(gateway.https, version=version) as client:
        if before:
            client.socket.sendall(client.data(before))
        client.socket.sendall(b"\x17\x03\x03\x00\x20" + bytes(32) + bytes(300_000))
        received = bytearray()
        while piece := client.socket.recv(65536):  # the connection is closed, not reset
            received += piece
    kind, content = records(bytes(received))[-1]
    # In TLS 1.3 an alert is recognized by its length alone: two bytes, one for the type, 16 of the tag.
    assert kind == ALERT if version else (kind, len(content)) == (APPLICATION_DATA, 19)


# Bodies.

def test_slow_bodies_occupy_no_upstream(run, make_origin, figures):
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
    # Steady senders that are too slow: each gets an answer that says so.
    for client in slow:
        assert client.response("POST").status == 408
    stopping.set()
    dripping.join()
    assert origin.requests == [] and origin.connections == []
    with Client(gateway.http) as client:
        client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\n")
        for _ in range(3):
            time.sleep(0.3)  # slower than the rate, but within the time for the first bytes
            client.send("x")
        assert client.response("POST").status == 200


def test_a_body_faster_than_the_minimum_rate_has_no_deadline(run, make_origin):
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


def test_no_upstream_is_chosen_before_a_small_body_is_complete(gateway, origin):
    with Client(gateway.http) as client, Client(gateway.http) as other:
        assert other.get().status == 200
        client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\nhello")
        # A later request is served first, on the only connection to the upstream.
        for _ in range(2):
            assert other.get().status == 200
        assert [request.method for request in origin.requests] == ["GET"] * 3
        assert len({request.connection for request in origin.requests}) == 1
        client.send("world")
        assert client.response("POST").status == 200
    assert origin.last.body == b"helloworld" and len({request.connection for request in origin.requests}) == 1
