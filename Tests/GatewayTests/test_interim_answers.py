"""Upstreams that send interim answers, or an answer that never begins: they get time, but not endlessly."""

import contextlib
import threading

import pytest

from client import Client
from origin import OK


@pytest.mark.parametrize("interim", [b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_endless_interim_answers_are_cut_off(run, make_origin, interim):
    origin = make_origin()

    def forever(connection, request):
        while True:
            connection.send(interim * 100)

    def some(connection, request):
        connection.send(interim * 500 + OK)

    origin.answers.update({"/forever": forever, "/some": some})
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        response = client.get(path="/some")
        assert response.status == 200 and len(response.interim) == (500 if b"102" in interim else 0)
        assert client.get(path="/forever").status == 502
    gateway.await_log("no answer from", "one interim answer after the other")


@pytest.mark.parametrize("kind", ["a head byte by byte", "interim answers"])
def test_an_answer_that_never_begins_is_ended(run, make_origin, kind):
    """Each byte comes soon enough after the last."""
    origin = make_origin()

    def drip(connection, request):
        with contextlib.suppress(OSError):
            connection.send(b"HTTP/1.1 200 OK\r\nA: " if kind == "a head byte by byte" else b"")
            while not ended.wait(0.1):
                connection.send(b"a" if kind == "a head byte by byte" else b"HTTP/1.1 102 Processing\r\n\r\n")
        return False

    origin.answers["/drip"], ended = drip, threading.Event()
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url], "timeouts": {"read": "500ms"}}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        assert client.get(path="/drip").status == 504
        ended.set()
        assert client.get().body == b"ok"


def test_interim_answers_give_an_upstream_more_time(run, make_origin):
    origin = make_origin()

    def patient(connection, request):
        for _ in range(8):
            # Each interim answer comes within the timeout, but four of them take as long as the timeout.
            ended.wait(0.25)
            connection.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        connection.send(OK)

    origin.answers["/patient"], ended = patient, threading.Event()
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "timeouts": {"read": "1s"}}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        assert client.get(path="/patient").body == b"ok"
