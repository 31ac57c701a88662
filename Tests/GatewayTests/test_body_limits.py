"""Bodies of requests that are larger than a host allows are refused, before they arrive if possible."""

import pytest

from client import Client

SMALL_LIMIT = "POST / HTTP/1.1\r\nHost: small.test\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once(
        [
            {"domain": "app.test", "upstreams": [module_origin.url]},
            {"domain": "small.test", "upstreams": [module_origin.url], "limits": {"body_bytes": "10B"}},
        ],
        gateway={"workers": 1})


def test_a_client_that_waits_for_100_is_refused_without_its_body(gateway, origin):
    with Client(gateway.http) as client:
        client.send("POST / HTTP/1.1\r\nHost: small.test\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        assert client.response("POST").status == 413
        assert client.is_closed()
    assert origin.requests == []


def test_a_body_beyond_the_limit_is_refused(gateway, origin):
    with Client(gateway.http) as client:
        assert client.ask("POST / HTTP/1.1\r\nHost: small.test\r\nContent-Length: 10\r\n\r\n0123456789").status == 200
        assert client.ask("POST / HTTP/1.1\r\nHost: small.test\r\nContent-Length: 11\r\n\r\n0123456789a").status == 413
        assert client.is_closed()
    with Client(gateway.http) as client:
        client.send("POST / HTTP/1.1\r\nHost: small.test\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n")
        client.send("6\r\nworld!\r\n0\r\n\r\n")
        assert client.response("POST").status == 413
        assert client.is_closed()
    with Client(gateway.http) as client:
        assert client.ask(
            "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10485761\r\n\r\n").status == 413
    assert len(origin.requests) == 1


@pytest.mark.parametrize("body", [
    "b\r\n", "8000000000000000\r\n", "ffffffffffffffff\r\n", "5\r\nhello\r\n6\r\n", "000000b\r\nhe",
    "5\r\nhello\r\nfffffffffffffffb\r\n",
])
def test_a_chunk_larger_than_the_limit_is_refused_before_it_arrives(gateway, origin, body):
    with Client(gateway.http) as client:
        client.send(SMALL_LIMIT + body)
        response = client.response("POST")
        assert (response.status, response["Connection"]) == (413, "close")
        assert client.is_closed()
    assert origin.requests == []


def test_chunks_up_to_the_limit_pass(gateway, origin):
    with Client(gateway.http) as client:
        assert client.ask(SMALL_LIMIT + "5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n").status == 200
    assert origin.last.body == b"helloworld"
