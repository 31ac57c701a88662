"""The admin API's stream of events: what happens arrives as it happens, once, and no client costs the gateway much."""

import contextlib
import json
import signal
import socket
import sqlite3

import pytest

from admin_api import ask, command, connect, make_token
from gateway import PATIENCE, eventually

HOST = {"domain": "app.test", "respond": {"body": "served\n"}}
PATH = "/api/v1/events/stream"
MOST = 32


@pytest.fixture
def gateway(run):
    gateway = run([HOST])
    gateway.token = make_token(gateway, "ops", "--scope", "write")
    return gateway


class Listener:
    """A client of the stream. It reads one event after another."""

    def __init__(self, gateway, *fields, query="", token=None):
        self.client = connect(gateway)
        lines = [f"GET {PATH}{query} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token or gateway.token}", *fields]
        self.client.send("\r\n".join(lines) + "\r\n\r\n")
        self.head = self.client.head()
        if self.head.status == 200:
            # The beginning has no event.
            assert self.client.until(b"\n\n").startswith(b"retry: ")

    def event(self):
        while True:
            lines = self.client.until(b"\n\n").decode().split("\n")
            if lines != [":"]:
                break
        number, data = lines
        event = json.loads(data.removeprefix("data: "))
        assert number == f"id: {event['id']}"
        return event

    def close(self):
        self.client.close()


def happen(gateway, count=1, size=10):
    """Records events, as gateways do."""
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db", timeout=PATIENCE)) as state, state:
        state.executemany(
            "INSERT INTO events (at, actor, action, kind, name, details) VALUES (unixepoch(), 'test', 'try', 'host', ?, '{}')",
            [(f"{number}-{'x' * size}",) for number in range(count)])


def newest(gateway):
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state:
        return state.execute("SELECT max(id) FROM events").fetchone()[0]


def test_events_arrive_as_they_happen(gateway):
    listener = Listener(gateway)
    assert listener.head["Content-Type"] == "text/event-stream" and listener.head["Connection"] == "close"
    assert listener.head["Cache-Control"] == "no-store" and listener.head["Content-Length"] is None
    made = ask(gateway, "/api/v1/hosts", gateway.token, method="POST", send={"domain": "new.test", "respond": {}})
    assert made.status == 201
    event = listener.event()
    assert (event["actor"], event["action"], event["item"]) == ("token:ops", "create", "host:new.test")
    listed = ask(gateway, f"/api/v1/events?after={event['id'] - 1}", gateway.token).json["items"]
    assert listed == [event]


def test_a_client_continues_where_it_was(gateway):
    before = newest(gateway)
    happen(gateway, 250)
    for listener in (
        Listener(gateway, query=f"?after={before}"), Listener(gateway, f"Last-Event-ID: {before}"),
        Listener(gateway, f"Last-Event-ID: {before}", query="?after=0"),
    ):
        assert [listener.event()["id"] for _ in range(250)] == list(range(before + 1, before + 251))
    # Without a place, it begins with what happens from now on.
    listener = Listener(gateway)
    happen(gateway)
    assert listener.event()["id"] == before + 251
    for fields, query in (["Last-Event-ID: x"], ""), (["Last-Event-ID: -1"], ""), ([], "?after=-1"):
        assert Listener(gateway, *fields, query=query).head.status == 400


def test_a_client_that_may_no_longer_read_gets_nothing_more(gateway):
    gone = make_token(gateway, "gone")
    listener = Listener(gateway, token=gone)
    command(gateway, "admin", "token", "revoke", "gone")
    assert b"revoke-token" not in listener.client.to_end()
    short = Listener(gateway, token=make_token(gateway, "short", "--expires", "2s"))
    short.client.to_end()
    gateway.config["gateway"]["admin"] = {"listen": f"127.0.0.1:{gateway.admin}", "api": "off"}
    listener = Listener(gateway)
    gateway.reload()
    listener.client.to_end()


def test_the_number_of_streams_is_limited(gateway):
    listeners = [Listener(gateway) for _ in range(MOST)]
    refused = Listener(gateway)
    assert refused.head.status == 503 and refused.head["Retry-After"]
    # They delay nothing else, and each of them hears of everything.
    assert ask(gateway, "/api/v1/hosts", gateway.token).status == 200
    happen(gateway)
    assert len({listener.event()["id"] for listener in listeners}) == 1
    # A client that leaves makes room at once.
    listeners.pop().close()
    eventually("there is room", lambda: Listener(gateway).head.status == 200)


def test_a_head_request_and_a_change_open_no_stream(gateway):
    head = ask(gateway, PATH, gateway.token, method="HEAD")
    assert head.status == 200 and head["Content-Type"] == "text/event-stream"
    assert ask(gateway, PATH, gateway.token, method="POST", send={}).problem == "method-not-allowed"
    assert ask(gateway, PATH).status == 401


def test_streams_end_with_the_gateway(gateway):
    listeners = [Listener(gateway) for _ in range(3)]
    gateway.process.send_signal(signal.SIGTERM)
    for listener in listeners:
        listener.client.to_end()
    assert gateway.process.wait(PATIENCE) == 0


def test_streams_end_when_a_new_process_takes_over(gateway):
    listener = Listener(gateway)
    gateway.upgrade()
    listener.client.to_end()
    assert Listener(gateway).head.status == 200


def memory(gateway):
    with open(f"/proc/{gateway.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_a_client_that_does_not_read_holds_no_memory(gateway):
    happen(gateway, 100)
    reader = Listener(gateway)
    silent = [Listener(gateway) for _ in range(5)]
    for listener in silent:
        listener.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    before, count = memory(gateway), 0
    cut = set()
    # Much more than what the kernel keeps for a connection that nobody reads.
    while len(cut) < len(silent):
        happen(gateway, 100, size=20_000)
        count += 100
        for _ in range(100):
            reader.event()
        cut = {listener for listener in silent if is_reset(listener)}
        assert count < 20_000, "clients that do not read are not cut off"
    assert memory(gateway) - before < 60_000
    happen(gateway)
    assert reader.event()["id"] == newest(gateway)


def is_reset(listener):
    """Whether the gateway has ended the connection. Reads nothing."""
    return listener.client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 or not is_established(listener)


def is_established(listener):
    # The first byte of tcp_info is the state of the connection (tcp(7)); 1 stands for "established".
    return listener.client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b"\x01"
