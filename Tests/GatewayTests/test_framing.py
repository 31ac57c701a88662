"""HTTP messages have one reading (RFC 9112): a malformed or ambiguous message is refused however its bytes arrive, and no
part of it reaches the origin as a request."""

import json
import pathlib
import random

import pytest

from client import Client, exchange_together
from gateway import eventually

SAMPLES = pathlib.Path(__file__).parent.parent / "Samples" / "http1"
SEED = 20261122
# Messages up to this size are also sent a byte at a time.
SHORT = 400


def samples(name):
    return [sample | {"bytes": sample["bytes"].encode("latin-1")}
            for sample in json.loads((SAMPLES / name).read_text())]


def split(message, how):
    """Splits a message into pieces: whole, cut at random places, or byte by byte."""
    if how == "whole":
        return [message]
    if how == "bytes":
        return [message[i:i + 1] for i in range(len(message))]
    chance = random.Random(f"{SEED} {how} {message!r}")
    cuts = sorted(chance.sample(range(1, len(message)), min(int(how), len(message) - 1)))
    return [message[start:end] for start, end in zip([0, *cuts], [*cuts, len(message)])]


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once([{"domain": "app.test", "upstreams": [module_origin.url]}])


@pytest.mark.parametrize("how", ["whole", "1", "2", "5", "bytes"])
def test_malformed_requests_are_refused_and_never_reach_the_origin(gateway, origin, how):
    table = [sample for sample in samples("malformed.json") if how != "bytes" or len(sample["bytes"]) <= SHORT]
    assert len(table) >= 150
    wrong = []
    answers = exchange_together(gateway.http, [split(sample["bytes"], how) for sample in table])
    for sample, (answer, ended) in zip(table, answers):
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        good = (lines[0].startswith(f"HTTP/1.1 {sample['status']} ".encode()) and b"Connection: close" in lines
                and f"Content-Length: {len(body)}".encode() in lines and ended)
        if not good:
            wrong.append((sample["name"], sample["status"], answer[:300], ended))
    assert not wrong
    assert [request.raw for request in origin.requests] == []


@pytest.mark.parametrize("how", ["whole", "1", "2", "5", "bytes"])
def test_valid_requests_reach_the_origin_as_they_were_meant(gateway, origin, how):
    table = samples("valid.json")
    seen = {}
    for number, sample in enumerate(table):
        with Client(gateway.http) as client:
            client.send(*split(sample["bytes"], how))
            response = client.response(sample["method"])
            assert response.status == 200, sample["name"]
        request = origin.await_requests(number + 1)[-1]
        seen[sample["name"]] = (request.method, request.target, request.body)
        assert request["Host"].lower().rstrip(":").split(":")[0].rstrip(".") == "app.test"
    assert seen == {
        sample["name"]: (sample["method"], sample["path"], sample["body"].encode("latin-1")) for sample in table}
    assert not origin.faults


def test_all_valid_requests_go_through_one_connection_pipelined(gateway, origin):
    table = [sample for sample in samples("valid.json") if b"HTTP/1.0" not in sample["bytes"]]
    with Client(gateway.http) as client:
        client.send(b"".join(sample["bytes"] for sample in table))
        for sample in table:
            assert client.response(sample["method"]).status == 200, sample["name"]
    assert [(request.method, request.target, request.body) for request in origin.requests] == [
        (sample["method"], sample["path"], sample["body"].encode("latin-1")) for sample in table]


def test_what_follows_a_refused_request_is_never_taken_for_a_request(gateway, origin):
    bad = b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Client(gateway.http) as client:
        client.send(bad + b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert client.response().status == 400
        assert client.is_closed()
    with Client(gateway.http) as client:
        assert client.get(path="/after").status == 200
    assert [request.target for request in origin.requests] == ["/after"]


def test_a_malformed_chunked_body_truncates_its_request_upstream(gateway, origin):
    with Client(gateway.http) as client:
        client.send("POST /body HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        eventually("the first chunk at the origin", lambda: any(b"hello" in c.received for c in origin.connections))
        client.send("zz\r\n")
        assert client.response().status == 400
        assert client.is_closed()
    assert origin.requests == []


HELLO = b"Content-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("answer, status", [
    (b"HTTP/1.2 200 OK\r\n" + HELLO, 200), (b"HTTP/1.9 200 OK\r\n" + HELLO, 200),
    (b"HTTP/1.1 200 OK\r\nX-Odd \t: 1\r\nContent-Length : 5\r\n\r\nhello", 200),
    (CHUNKED + b"5  \r\nhello\r\n0 \r\nA : b\r\n\r\n", 200),
    (CHUNKED + b"5 ;a=b\r\nhello\r\n0\t;c\r\n\r\n", 200),
    (CHUNKED + b"0" * 40 + b"5\r\nhello\r\n" + b"0" * 40 + b"\r\n\r\n", 200),
    (b"HTTP/1.1 600 Odd\r\n" + HELLO, 600), (b"HTTP/1.1 999 Odd\r\n" + HELLO, 999),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + HELLO, 200),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", 200),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello", 200),
    (b"\r\nHTTP/1.1 200 OK\r\n" + HELLO, 200),
    (b"HTTP/1.1 200 OK\r\nConnection: keep-alive; timeout=5\r\n" + HELLO, 200),
], ids=lambda value: value[:70].decode("latin-1").replace("\r\n", "|") if isinstance(value, bytes) else "")
def test_an_odd_but_unambiguous_answer_is_passed_on_in_canonical_form(gateway, origin, answer, status):
    def send_all(connection, request):
        connection.send(answer)
        return b"identity" not in answer

    origin.answers["/odd"] = send_all
    with Client(gateway.http) as client:
        for _ in range(2):
            response = client.get(path="/odd")
            assert (response.status, response.body) == (status, b"hello")
            assert response["Connection"] is None and response["A"] is None
            assert response["X-Odd"] == ("1" if b"X-Odd" in answer else None)
            assert len(response.all("Content-Length")) + len(response.all("Transfer-Encoding")) == 1
    is_kept = origin.requests[0].connection == origin.requests[1].connection
    assert is_kept == (b"identity" not in answer and b"timeout" not in answer)


@pytest.mark.parametrize("length", [b"5", b"005", b"5, 5", b"5\r\nContent-Length: 5"])
def test_the_length_in_an_answer_without_a_body_is_passed_on_as_one_number(gateway, origin, length):
    origin.answers["/head"] = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n"
    with Client(gateway.http) as client:
        assert client.ask("HEAD /head HTTP/1.1\r\nHost: app.test\r\n\r\n")["Content-Length"] == "5"


def test_a_chunked_body_that_is_mostly_framing_is_refused(gateway, origin):
    chunk = b"1;" + b"a" * 200 + b"\r\na\r\n"
    head = b"POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Client(gateway.http) as client:
        client.send(head + chunk * 50 + b"0\r\n\r\n")
        assert client.response().status == 200
        client.send(head + chunk * 200 + b"0\r\n\r\n")
        assert client.response().status == 400
        assert client.is_closed()
    assert [request.body for request in origin.requests] == [b"a" * 50]
