"""Upstreams given by name: their addresses are tried in turn, and a changed address is noticed."""

import contextlib
import threading
import time

import pytest

from client import Client
from gateway import PATIENCE, eventually, free_port
from origin import OK


class Moving:
    """An upstream whose name has the addresses that a test sets, with an origin at each of them."""

    def __init__(self, names, make_origin):
        self.names = names
        self.former = make_origin()
        self.later = make_origin(at=("127.0.0.9", self.former.port))
        self.url = f"http://up.told.test:{self.former.port}"
        self.tell("127.0.0.1")

    def tell(self, *addresses):
        new = self.names.with_name("names.new")
        new.write_text("".join(f"{address}\n" for address in addresses))
        new.rename(self.names.with_name("names.told"))

    def look_ups(self):
        return self.names.with_name("names.count").stat().st_size


@pytest.fixture
def moving(names, make_origin):
    return Moving(names, make_origin)


def test_if_an_address_of_a_name_fails_the_next_one_is_tried(names, run, make_origin):
    origin = make_origin()
    # Each request needs a connection of its own.
    origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    dead = free_port()
    gateway = run([
        {"domain": "app.test", "upstreams": [f"http://up.two.test:{origin.port}"]},
        {"domain": "dead.test", "upstreams": [f"http://up.two.test:{dead}"]}])
    with Client(gateway.http) as client:
        # Nothing listens at the first address.
        for _ in range(20):
            assert client.get("app.test").status == 200
        assert client.get("dead.test").status == 502
    assert "all of its 2 addresses were tried" in gateway.await_log("no answer from")
    assert "is left out" not in gateway.log


def test_a_names_new_address_is_used_even_while_connections_to_the_former_one_live(run, moving):
    begun, release = threading.Event(), threading.Event()

    def slow(connection, request):
        begun.set()
        release.wait(30)
        connection.send(OK)

    moving.former.answers["/slow"] = slow
    gateway = run([{"domain": "app.test", "upstreams": [moving.url]}])
    with Client(gateway.http) as client, Client(gateway.http) as waiting:
        waiting.send("GET /slow HTTP/1.1\r\nHost: app.test\r\n\r\n")
        begun.wait(10)
        for _ in range(10):
            assert client.get("app.test").status == 200
        moving.tell("127.0.0.9")
        # Traffic keeps connections to the former address busy.
        eventually(
            "a request at the new address", lambda: client.get("app.test").status == 200 and moving.later.requests)
        # Each worker learns of the new address by itself.
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(gateway.http)) for _ in range(8)]
            eventually("all workers' idle connections ended", lambda: len(
                [connection for connection in moving.former.connections if connection.socket.fileno() >= 0]) == 1)
            before = len(moving.former.requests)
            for other in clients:
                assert other.get("app.test").status == 200
        assert len(moving.former.requests) == before
        # The request under way is answered, and its connection is not kept.
        release.set()
        assert waiting.response().status == 200
        eventually("the end of the last connection", lambda: all(
            connection.socket.fileno() < 0 for connection in moving.former.connections))


def test_connections_to_an_unchanged_address_are_kept(run, moving):
    moving.tell("127.0.0.1", "127.0.0.9")
    gateway = run([{"domain": "app.test", "upstreams": [moving.url]}], gateway={"workers": 1})
    with contextlib.ExitStack() as stack:
        # Requests one after the other would use one connection.
        together = threading.Barrier(4)

        def late(connection, request):
            together.wait(PATIENCE)
            connection.send(OK)

        moving.former.answer = moving.later.answer = late
        clients = [stack.enter_context(Client(gateway.http)) for _ in range(4)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        for client in clients:
            assert client.response().status == 200
        moving.former.answer = moving.later.answer = OK
        kept = len(moving.former.connections)
        assert kept and moving.later.connections
        moving.tell("127.0.0.1")
        eventually("the end of connections to the other", lambda: all(
            connection.socket.fileno() < 0 for connection in moving.later.connections))
        for client in clients:
            assert client.get("app.test").status == 200
    assert len(moving.former.connections) == kept


def test_a_failed_connection_causes_a_lookup_of_its_name_at_once(run, moving):
    gateway = run([{"domain": "app.test", "upstreams": [moving.url]}])
    with Client(gateway.http) as client:
        assert client.get("app.test").status == 200
        moving.former.stop()
        moving.tell("127.0.0.9")
        # Without a failure the next look-up comes after ten seconds: this limit is what the test is about.
        eventually("the new address", lambda: client.get("app.test").status == 200, patience=5)


def test_failures_cause_at_most_one_lookup_a_second(run, moving):
    gateway = run([{"domain": "app.test", "upstreams": [moving.url]}])
    moving.former.stop()
    start, before = time.monotonic(), moving.look_ups()
    with Client(gateway.http) as client:
        eventually("several look-ups", lambda: client.get("app.test").status == 502 and moving.look_ups() >= before + 3)
    # The test counts whole seconds of the clock, so the first and the last may be shorter.
    assert moving.look_ups() - before <= time.monotonic() - start + 2
