"""Health checks: an upstream that is not well gets no requests until it is well again."""

from client import Client
from gateway import eventually, free_port


def test_an_unhealthy_upstream_gets_no_requests_until_it_is_healthy(run, make_origin):
    sick, well = make_origin(), make_origin()
    sick.answers["/health"] = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
    gateway = run([{
        "domain": "app.test", "upstreams": [sick.url, well.url],
        "health_check": {"path": "/health", "interval": "1s", "timeout": "500ms"}}])
    gateway.await_log(sick.url, "is not well", "500")
    assert sick.last["Host"] == "app.test"
    with Client(gateway.http) as client:
        for _ in range(6):
            assert client.get().status == 200
    assert "/" not in {request.target for request in sick.requests}
    sick.answers.clear()
    gateway.await_log(sick.url, "is well again")
    with Client(gateway.http) as client:
        for _ in range(6):
            assert client.get().status == 200
    assert "/" in {request.target for request in sick.requests}


def test_a_second_try_uses_another_upstream_even_if_none_is_healthy(run, make_origin):
    serving = make_origin()
    serving.answers["/healthz"] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    gateway = run(
        [{"domain": "app.test", "upstreams": [f"http://127.0.0.1:{free_port()}", serving.url],
          "health_check": {"path": "/healthz", "interval": "1s"}}])
    gateway.await_log("is not well", serving.url)
    with Client(gateway.http) as client:
        assert [client.get("app.test").status for _ in range(10)] == [200] * 10


def test_a_health_check_belongs_to_one_host_and_ends_with_it(run, make_origin):
    shared = make_origin()
    shared.answers["/healthz"] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    other = make_origin()
    gateway = run([
        {"domain": "checking.test", "upstreams": [shared.url, other.url],
         "health_check": {"path": "/healthz", "interval": "1s"}},
        {"domain": "later.test", "upstreams": [shared.url]},
    ])
    gateway.await_log("is not well", shared.url)
    del gateway.host("checking.test")["health_check"]
    gateway.reload()

    def served():
        with Client(gateway.http) as client:
            for _ in range(4):
                client.get("checking.test", "/served")
        return [request for request in shared.requests if request.target == "/served"]

    eventually("requests to what is no longer checked", served)
