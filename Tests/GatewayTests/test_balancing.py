"""Which of a host's upstreams gets a request: the ways of balancing, and upstreams that are down."""

import threading

from client import Client, post
from gateway import eventually, free_port
from origin import OK


def test_requests_avoid_an_upstream_that_is_down(run, make_origin):
    good, down = make_origin(), f"http://127.0.0.1:{free_port()}"
    gateway = run([{"domain": "app.test", "upstreams": [down, good.url]}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        assert [client.ask(post()).status for _ in range(10)] == [200] * 10
    gateway.await_log(down, "left out")


def test_round_robin_takes_turns(run, make_origin):
    origins = [make_origin() for _ in range(3)]
    gateway = run([{"domain": "app.test", "upstreams": [o.url for o in origins]}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        for _ in range(9):
            client.get()
    assert [len(origin.requests) for origin in origins] == [3, 3, 3]


def test_least_conn_goes_where_fewest_requests_are(run, make_origin):
    busy, free = make_origin(), make_origin()
    release = threading.Event()
    gateway = run(
        [{"domain": "app.test", "balance": "least_conn", "upstreams": [busy.url, free.url]}], gateway={"workers": 1})
    busy.answer = free.answer = lambda connection, request: release.wait(10) and connection.send(OK)
    with Client(gateway.http) as waiting, Client(gateway.http) as client:
        waiting.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        taken = eventually("the first request", lambda: next((o for o in (busy, free) if o.requests), None))
        other = free if taken is busy else busy
        other.answer = OK
        for _ in range(5):
            assert client.get().status == 200
        assert (len(taken.requests), len(other.requests)) == (1, 5)
        release.set()
        assert waiting.response().status == 200


def test_ip_hash_keeps_to_one_upstream(run, make_origin):
    origins = [make_origin() for _ in range(3)]
    gateway = run([{"domain": "app.test", "balance": "ip_hash", "upstreams": [o.url for o in origins]}])
    for _ in range(6):
        with Client(gateway.http) as client:
            assert client.get().status == 200
    assert sorted(len(origin.requests) for origin in origins) == [0, 0, 6]


def test_ip_hash_uses_the_client_behind_a_trusted_proxy(run, make_origin):
    origins = [make_origin() for _ in range(3)]
    gateway = run(
        [{"domain": "app.test", "balance": "ip_hash", "upstreams": [o.url for o in origins]}],
        gateway={"trusted_proxies": ["127.0.0.1"]})
    clients = [f"8.8.{i}.8" for i in range(30)]
    with Client(gateway.http) as client:
        for address in clients * 2:
            assert client.get("app.test", "/", f"X-Forwarded-For: {address}").status == 200
    seen = [{request["X-Real-IP"] for request in origin.requests} for origin in origins]
    assert set().union(*seen) == set(clients)
    # Each client has one upstream, and each upstream has some clients.
    assert sum(map(len, seen)) == len(clients) and all(seen)


def test_ip_hash_uses_the_sender_of_the_body_and_not_a_later_client(run, make_origin):
    origins = [make_origin() for _ in range(3)]
    gateway = run(
        [{"domain": "app.test", "balance": "ip_hash", "upstreams": [o.url for o in origins]}],
        gateway={"workers": 1, "trusted_proxies": ["127.0.0.1"]})
    clients = [f"8.8.{i}.8" for i in range(10)]
    waiting = [Client(gateway.http) for _ in clients]
    for client, address in zip(waiting, clients):
        client.send(
            f"POST / HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-For: {address}\r\nContent-Length: 2\r\n\r\nh")
    with Client(gateway.http) as client:
        for address in clients:
            assert client.get("app.test", "/", f"X-Forwarded-For: {address}").status == 200
    for client in waiting:
        client.send("i")
        assert client.response("POST").status == 200
        client.close()
    # Both requests of a client go to the same upstream.
    seen = [{request["X-Real-IP"] for request in origin.requests} for origin in origins]
    assert sum(map(len, seen)) == len(clients) and set().union(*seen) == set(clients)
