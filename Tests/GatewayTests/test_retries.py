"""Requests that are sent a second time because the first attempt failed, and those that must not be."""

import threading

import pytest

from client import Client, post
from origin import OK


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once([{"domain": "app.test", "upstreams": [module_origin.url]}], gateway={"workers": 1})


def test_a_kept_connection_closed_by_its_server_costs_no_request(gateway, origin):
    first = []

    def close_on_second(connection, request):
        if connection.number in first:
            connection.close()
            return False
        first.append(connection.number)
        connection.send(OK)

    origin.answers["/"] = close_on_second
    with Client(gateway.http) as client:
        assert client.get().status == 200
        assert client.get().status == 200, "repeated on a new connection"
        assert client.ask(post()).status == 502, "not repeated"
    assert [request.method for request in origin.requests] == ["GET", "GET", "GET", "POST"]


@pytest.mark.parametrize("framing, body, times", [
    ("Transfer-Encoding: chunked", b"0\r\n\r\n", 2),
    ("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n", 2),
    ("Content-Length: 5", b"hello", 2),
    # The gateway does not keep all of such a long body.
    ("Content-Length: 1000000", bytes(1_000_000), 1),
], ids=["no chunk", "chunks", "length", "large"])
def test_a_request_is_repeated_with_its_whole_body_or_not_at_all(gateway, origin, framing, body, times):
    origin.answers["/close"] = lambda connection, request: connection.close()
    with Client(gateway.http) as client:
        assert client.get().status == 200
        answer = client.ask(f"PUT /close HTTP/1.1\r\nHost: app.test\r\n{framing}\r\n\r\n".encode() + body)
        assert answer.status == 502
    puts = origin.requests[1:]
    assert len(puts) == times and {request.method for request in puts} == {"PUT"}
    assert len({request.raw for request in puts}) == 1


def test_a_request_is_repeated_on_a_new_connection_after_a_dead_one(run, make_origin):
    """All connections that wait in the pool may be dead, however many there are."""
    origin, together, dead = make_origin(), threading.Barrier(3), set()

    def answer(connection, request):
        if connection.number in dead:
            return False
        together.wait(10)
        connection.send(OK)

    origin.answer = answer
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}], gateway={"workers": 1})
    clients = [Client(gateway.http) for _ in range(3)]
    for client in clients:
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
    assert [client.response().status for client in clients] == [200] * 3
    dead.update(request.connection for request in origin.requests)
    together = threading.Barrier(1)
    for client in clients:
        assert client.get().status == 200
        client.close()


def test_only_an_idempotent_request_is_repeated_at_another_upstream(run, make_origin):
    bad, good = make_origin(), make_origin()
    bad.answer = lambda connection, request: connection.reset() or False
    gateway = run([{"domain": "app.test", "upstreams": [bad.url, good.url]}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        assert [client.get().status for _ in range(4)] == [200] * 4
    assert 1 <= len(bad.requests) <= 3 and len(good.requests) == 4


def test_a_post_is_not_repeated_once_it_was_sent(run, make_origin):
    bad, good = make_origin(), make_origin()
    bad.answer = lambda connection, request: connection.reset() or False
    gateway = run([{"domain": "app.test", "upstreams": [bad.url, good.url]}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        statuses = [client.ask(post()).status for _ in range(4)]
    assert sorted(statuses) == [200, 200, 502, 502]
    assert (len(bad.requests), len(good.requests)) == (2, 2)


def test_nothing_is_repeated_once_a_byte_has_come_back(run, make_origin):
    bad, good = make_origin(), make_origin()

    def begin(connection, request):
        connection.send(b"HTTP/1.1 200")
        return False

    bad.answer = begin
    gateway = run([{"domain": "app.test", "upstreams": [bad.url, good.url]}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        statuses = [client.get().status for _ in range(4)]
    assert sorted(statuses) == [200, 200, 502, 502]
