"""Upstreams that send a body after their answer to HEAD: it reaches no other client, however late it comes."""

import select
import threading

import pytest

from authority import Holder, pem
from client import Client
from gateway import eventually
from tls_server import EARLY


@pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "TLS"])
def test_a_late_body_of_an_answer_to_head_reaches_no_other_client(run, make_origin, tmp_path, over_tls):
    """After an upstream has sent a body for HEAD, no request follows a HEAD on its connection."""
    shown = Holder("up", names=["127.0.0.1"])
    origin = make_origin(tls=shown.server(tmp_path / "up.pem") if over_tls else None)
    (tmp_path / "ca.pem").write_bytes(pem(shown.certificate))
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url],
          **({"upstream_tls": {"ca_file": str(tmp_path / "ca.pem")}} if over_tls else {})}],
        gateway={"workers": 1})
    stray = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"
    answered = threading.Event()

    def late(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(stray))
        answered.wait(2)
        connection.send(stray)

    origin.answers["/late"] = late
    ask = "HEAD /late HTTP/1.1\r\nHost: app.test\r\n\r\n"
    with Client(gateway.http) as client:
        assert client.ask(ask, method="HEAD").status == 200
        answered.set()
        eventually("the end of the first connection", lambda: origin.connections[0].socket.fileno() == -1)
        answered.clear()
        assert client.ask(ask, method="HEAD").status == 200
        # The body that follows the answer to HEAD has not arrived yet.
        assert client.get().body == b"ok"
        answered.set()
        assert [client.get().body for _ in range(2)] == [b"ok"] * 2
    assert [request.connection for request in origin.requests] == [0, 1, 2, 2, 2]


def test_head_keeps_its_connection_with_an_upstream_that_sends_no_body(run, make_origin):
    origin = make_origin()
    origin.answers["/head"] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}], gateway={"workers": 1})

    def same_connection(client):
        assert client.ask("HEAD /head HTTP/1.1\r\nHost: app.test\r\n\r\n", method="HEAD").status == 200
        assert client.get().body == b"ok"
        return origin.requests[-2].connection == origin.requests[-1].connection

    with Client(gateway.http) as client:
        # After the first HEAD, a connection is watched for a while.
        assert not same_connection(client)
        eventually("the end of the watch", lambda: same_connection(client))
        assert all(same_connection(client) for _ in range(3))


def test_the_first_late_body_of_an_answer_to_head_is_nobody_elses_answer(run, make_origin):
    """The body would arrive while another request is on the connection, if the gateway sent one there."""
    origin = make_origin()
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}], gateway={"workers": 1})
    answered = threading.Event()

    def late(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(EARLY))
        eventually("another request", lambda: answered.is_set() or select.select([connection.socket], [], [], 0)[0])
        connection.send(EARLY)

    origin.answers["/late"] = late
    with Client(gateway.http) as client, Client(gateway.http) as other:
        # The first connection shows that the upstream waits for requests.
        assert other.get().body == b"ok"
        assert client.ask("HEAD /late HTTP/1.1\r\nHost: app.test\r\n\r\n", method="HEAD").status == 200
        assert [other.get().body for _ in range(3)] == [b"ok"] * 3
        answered.set()
        eventually("the end of the first connection", lambda: origin.connections[0].socket.fileno() == -1)
        assert [other.get().body for _ in range(3)] == [b"ok"] * 3
