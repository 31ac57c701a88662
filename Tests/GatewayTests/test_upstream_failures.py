"""Upstreams that refuse, are slow, or send malformed or cut answers: the client gets an error, and the log says why."""

import threading

import pytest

from client import BrokenTransfer, Client, post
from gateway import free_port


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once(
        [
            {"domain": "app.test", "upstreams": [module_origin.url]},
            {"domain": "slow.test", "upstreams": [module_origin.url], "timeouts": {"read": "300ms"}},
            {"domain": "refused.test", "upstreams": [f"http://127.0.0.1:{free_port()}"]},
            {"domain": "nowhere.test", "upstreams": ["http://no-such-name.invalid:80"]},
        ],
        gateway={"workers": 1})


@pytest.mark.parametrize("answer", [
    b"garbage\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA b: c\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok!",
    b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nA: \0\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 99 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000 + b"\r\n\r\n",
    b"",
], ids=lambda answer: answer[:60].decode("latin-1").replace("\r\n", "|").replace("\0", "NUL"))
def test_a_malformed_answer_is_502_and_the_log_says_why(gateway, origin, answer):
    def bad(connection, request):
        connection.send(answer)
        return bool(answer)

    origin.answers["/"] = bad
    with Client(gateway.http) as client:
        response = client.ask(post())
        assert response.status == 502
        line = gateway.await_log("no answer from", origin.url, response["X-Request-Id"], "host=app.test")
        assert ("malformed" in line or "protocol" in line or "too large" in line if answer else "closed" in line), line
        assert client.get(path="/good").body == b"ok"
    assert origin.requests[0].connection != origin.requests[1].connection


def test_an_answer_that_takes_too_long_is_504(gateway, origin):
    release = threading.Event()
    origin.answers["/"] = lambda connection, request: release.wait(10) and False
    with Client(gateway.http) as client:
        response = client.get("slow.test")
        assert response.status == 504
        gateway.await_log("took too long", origin.url, response["X-Request-Id"])
    release.set()


def test_an_answer_that_stops_midway_is_truncated(gateway, origin):
    release = threading.Event()

    def stop_midway(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        release.wait(10)
        return False

    origin.answers["/"] = stop_midway
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.1\r\nHost: slow.test\r\n\r\n")
        with pytest.raises((BrokenTransfer, ConnectionError)):
            client.response()
    release.set()


def test_an_upstream_that_refuses_is_502_and_named_in_the_log(gateway, origin):
    upstream = gateway.host("refused.test")["upstreams"][0]
    with Client(gateway.http) as client:
        for _ in range(5):  # the only upstream is used even when it fails
            response = client.get("refused.test")
            assert response.status == 502
            gateway.await_log(f"no answer from {upstream}: Connection refused", response["X-Request-Id"])
        assert client.ask(post("refused.test")).status == 502


def test_an_upstream_without_an_address_is_502_and_the_log_says_so(gateway, origin):
    with Client(gateway.http) as client:
        response = client.get("nowhere.test")
        assert response.status == 502
        gateway.await_log("no answer from http://no-such-name.invalid", response["X-Request-Id"])
