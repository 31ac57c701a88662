"""Bodies that their receiver does not read: the gateway stops reading from the sender, and its memory does not fill."""

import threading
import time

import pytest

from client import Client
from gateway import eventually
from origin import OK
from process import memory_bytes


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once(
        [{"domain": "app.test", "upstreams": [module_origin.url], "limits": {"body_bytes": "0"}}], gateway={"workers": 1})


def test_an_answer_that_the_client_does_not_read_does_not_fill_memory(gateway, origin):
    total = 96 << 20
    sent = [0]

    def flood(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while sent[0] < total:
            connection.send(bytes(1 << 16))
            sent[0] += 1 << 16

    origin.answers["/flood"] = flood
    with Client(gateway.http) as client:
        client.get()
        before = memory_bytes(gateway.process.pid)
        client.send("GET /flood HTTP/1.1\r\nHost: app.test\r\n\r\n")
        await_standstill(lambda: sent[0])
        assert sent[0] < total / 2
        assert memory_bytes(gateway.process.pid) - before < 4 << 20
        with Client(gateway.http) as other:
            assert other.get().body == b"ok"
        assert len(client.response().body) == total


def test_a_body_that_the_origin_does_not_read_does_not_fill_memory(gateway, origin):
    total = 96 << 20
    go_on = threading.Event()

    def late(connection, request):
        go_on.wait(20)
        connection.body(request)
        origin.requests.append(request)
        connection.send(OK)
        return True

    origin.early["/late"] = late
    sent = [0]

    def upload(client):
        client.send(f"POST /late HTTP/1.1\r\nHost: app.test\r\nContent-Length: {total}\r\n\r\n")
        while sent[0] < total:
            client.send(bytes(1 << 16))
            sent[0] += 1 << 16

    with Client(gateway.http) as client:
        client.get()
        before = memory_bytes(gateway.process.pid)
        thread = threading.Thread(target=upload, args=(client,))
        thread.start()
        await_standstill(lambda: sent[0])
        assert sent[0] < total / 2
        assert memory_bytes(gateway.process.pid) - before < 4 << 20
        go_on.set()
        thread.join()
        assert client.response("POST").status == 200
    assert len(origin.last.body) == total


def await_standstill(value):
    """Waits until a number has begun to grow and then has stayed the same for half a second."""
    last = [0, time.monotonic()]

    def still():
        now = value()
        if now != last[0]:
            last[:] = [now, time.monotonic()]
        return last[0] > 0 and time.monotonic() - last[1] > 0.5

    eventually("a standstill", still)
