"""Connections to upstreams that are kept for further requests, and those that must not be used again."""

import pytest

from client import Client, post
from origin import OK
from process import held


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once([{"domain": "app.test", "upstreams": [module_origin.url]}], gateway={"workers": 1})


def test_a_connection_with_bytes_after_the_answer_is_not_used_again(gateway, origin):
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    origin.answers["/"] = OK + poison
    with Client(gateway.http) as client:
        for _ in range(3):
            assert client.get().body == b"ok"
    assert len({request.connection for request in origin.requests}) == 3


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_an_unexpected_body_is_not_taken_for_the_next_answer(gateway, origin, method):
    status = "200 OK" if method == "HEAD" else "304 Not Modified"
    origin.answers["/bad"] = f"HTTP/1.1 {status}\r\nContent-Length: 45\r\n\r\n".encode() + OK
    with Client(gateway.http) as client:
        assert client.ask(f"{method} /bad HTTP/1.1\r\nHost: app.test\r\n\r\n").body == b""
        assert client.get().body == b"ok"
    assert origin.requests[0].connection != origin.requests[1].connection


def test_bytes_on_an_idle_connection_are_not_used_as_an_answer(gateway, origin):
    with Client(gateway.http) as client:
        assert client.get().body == b"ok"
        first = origin.connections[origin.last.connection]
        first.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        assert client.get().body == b"ok"
        assert client.get().body == b"ok"
    assert first.number not in {request.connection for request in origin.requests[1:]}


@pytest.mark.parametrize("unasked", [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", b""], ids=["bytes", "the end"])
def test_bytes_that_arrive_with_a_request_are_noticed_before_the_connection_is_used(gateway, origin, unasked):
    """A request and an upstream's bytes both wait when the gateway looks, and it sees the request first."""
    with Client(gateway.http) as client:
        assert client.get().body == b"ok"
        first = origin.connections[origin.last.connection]
        retries = gateway.metric("aegis_upstream_retries_total")
        with held(gateway.process.pid):
            client.send(post())
            first.send(unasked) if unasked else first.close()
        assert client.response().body == b"ok"
    assert first.number != origin.last.connection
    assert gateway.metric("aegis_upstream_retries_total") == retries


def test_a_failed_upgrade_leaves_no_poisoned_connection(gateway, origin):
    upgrade = "GET /ws HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    with Client(gateway.http) as client:
        client.send(upgrade + "GET /next HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert client.response().status == 200
        assert client.response().status == 200
    assert [request.target for request in origin.requests] == ["/ws", "/next"]


@pytest.mark.parametrize("parameter, waits", [("timeout=1", False), ("timeout=0", False), ("timeout=60, max=5", True)])
def test_a_kept_connection_is_not_used_at_the_end_of_its_announced_timeout(gateway, origin, parameter, waits):
    origin.answer = f"HTTP/1.1 200 OK\r\nKeep-Alive: {parameter}\r\nContent-Length: 2\r\n\r\nok".encode()
    with Client(gateway.http) as client:
        for _ in range(3):
            assert client.get().status == 200
    assert len({request.connection for request in origin.requests}) == (1 if waits else 3)
