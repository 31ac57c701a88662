"""Limits for a single client."""

import contextlib
import itertools

import pytest

from client import Client, tls_context
from gateway import eventually


def is_turned_away(port):
    """Whether a connection is closed without an answer, possibly by a reset, since the gateway does not read what was
    sent."""
    with Client(port) as client:
        try:
            client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
            return client.is_closed()
        except ConnectionError:
            return True


def refused(gateway):
    return gateway.metric("aegis_connections_refused_total")


def test_one_address_gets_at_most_its_limit_of_connections(run):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"workers": 1, "limits": {"connections_per_client": 3}})
    clients = [Client(gateway.http) for _ in range(3)]
    try:
        for client in clients:
            assert client.get().status == 200
        assert is_turned_away(gateway.http)
        assert refused(gateway) == 1
        gateway.await_log("warning: 127.0.0.1 has all 3 connections that one client may have")
        # Another address counts as another client; a closed connection makes room.
        with Client(gateway.http, source="127.0.0.9") as other:
            assert other.get().status == 200
        clients.pop().close()
        eventually("room for another", lambda: not is_turned_away(gateway.http))
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("limit", ["connections", "connections_per_client"])
def test_a_limit_applies_to_all_workers_together(run, limit, origin):
    """The kernel may distribute the connections unevenly among workers."""
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"workers": 4, "limits": {"connections_per_client": 0, limit: 12, "body_buffer_bytes": "0B"}})
    with contextlib.ExitStack() as stack:
        for _ in range(12):
            begin_body(stack.enter_context(Client(gateway.http)))
        eventually("no room", lambda: is_turned_away(gateway.http))
    eventually("room for another", lambda: not is_turned_away(gateway.http))


def test_trusted_proxies_have_no_limit_per_client(run):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={
            "workers": 1, "limits": {"connections_per_client": 2}, "trusted_proxies": ["127.0.0.1/32"]})
    clients = [Client(gateway.http) for _ in range(6)]
    for client in clients:
        assert client.get().status == 200
        client.close()
    assert refused(gateway) == 0


def begin_body(client):
    """Begins a request, since connections with a request are not closed to make room."""
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
    client.send("hel")
    return client


def test_there_are_never_more_connections_than_the_limit(run, origin):
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"workers": 1, "limits": {"connections": 2, "connections_per_client": 0, "body_buffer_bytes": "0B"}})
    with Client(gateway.http) as first, Client(gateway.https, tls_context(), "app.test") as second:
        assert first.get().status == second.get().status == 200
        begin_body(first)
        begin_body(second)
        eventually("no room", lambda: is_turned_away(gateway.http))
        gateway.await_log("warning: all 2 connections of clients are in use")
        # The admin listener still accepts connections.
        assert gateway.ask("/healthz")[0] == 200
        for client in (first, second):
            client.send("lo")
            assert client.response().status == 200
        # A connection that has waited for its client's next request is closed to make room.
        eventually("room", lambda: not is_turned_away(gateway.http))
        assert gateway.metric("aegis_connections_evicted_total") == 1


def test_a_client_that_does_not_send_its_small_body_is_replaced(run, origin):
    """The gateway waits for the whole of such a body before it asks an upstream."""
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"workers": 1, "limits": {"connections": 10, "connections_per_client": 0}})
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            begin_body(stack.enter_context(Client(gateway.http)))
        eventually("room", lambda: not is_turned_away(gateway.http))
        assert gateway.metric("aegis_connections_evicted_total") > 0


def test_an_address_has_a_limit_by_default(run):
    gateway = run([{"domain": "app.test", "respond": {"body": "hello"}}])
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(Client(gateway.http)).send("GET")
        eventually("all of them", lambda: gateway.metric("aegis_connections_open") == 1000)
        assert is_turned_away(gateway.http)
        with Client(gateway.http, source="127.0.0.9") as other:
            assert other.get().status == 200


def held_by_one(gateway):
    """How many connections one address can have when each has a request."""
    with contextlib.ExitStack() as stack:
        for count in itertools.count():
            client = stack.enter_context(Client(gateway.http))
            try:
                begin_body(client)
            except (AssertionError, ConnectionError):
                return count


@pytest.mark.parametrize("connections, written, share", [
    (40, None, 10), (3, None, 1), (40, 30, 30), (40, 40, 40), (40, 1000, 40), (40, 0, 40),
])
def test_the_limit_of_an_address_follows_the_total_limit(run, origin, connections, written, share):
    limits = {"connections": connections, "body_buffer_bytes": "0B"}
    if written is not None:
        limits["connections_per_client"] = written
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}], gateway={"workers": 1, "limits": limits})
    assert held_by_one(gateway) == share
    if share < connections:
        gateway.await_log("one client may have", f"{share} of them")
    elif written:
        gateway.await_log("warning:", "one client may have all of them", "connections_per_client")
    else:
        assert "one client may have" not in gateway.log
    # The limit in force follows a changed configuration.
    gateway.config["gateway"]["limits"]["connections"] = 2 * connections
    gateway.reload()
    eventually("the new limit", lambda: gateway.metric("aegis_connections_limit") == 2 * connections)
    expected = {None: 2 * connections // 4, 0: 2 * connections}.get(written, min(written or 0, 2 * connections))
    eventually("the new bound", lambda: held_by_one(gateway) == expected)
