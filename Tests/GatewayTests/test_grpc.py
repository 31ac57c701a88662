"""Calls of gRPC pass whole: all four kinds, with their deadlines, cancellations and statuses, and gRPC's own health checks."""

import concurrent.futures
import json
import threading

import grpc
import pytest

from gateway import eventually
from grpc_server import MIB, Server, channel


@pytest.fixture(scope="module")
def server():
    made = Server()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def gateway(run_once, server):
    gateway = run_once(
        [{"domain": "app.test", "ssl_mode": "custom", "certificate": "site", "upstreams": [server.url],
          "limits": {"body_bytes": 0}, "timeouts": {"read": "20s"}},
         {"domain": "dead.test", "ssl_mode": "custom", "certificate": "site", "upstreams": ["h2c://127.0.0.1:1"]},
         {"domain": "slow.test", "ssl_mode": "custom", "certificate": "site", "upstreams": [server.url],
          "timeouts": {"read": "1s"}}],
        issuers={"lan": {"type": "local_ca"}},
        certificates={"site": {"issuer": "lan", "domains": ["app.test", "dead.test", "slow.test"]}},
        gateway={"workers": 1, "access_log": {"to": "access.log", "format": "json"}})
    return gateway


@pytest.fixture
def app(gateway):
    with channel(gateway) as made:
        yield made


def test_unary_calls_with_metadata_and_large_messages(app, server):
    echo = app.unary_unary("/shop.Shop/Echo")
    for size in (0, 1, 70_000, MIB, 4 * MIB):
        message = b"x" * size
        answer, call = echo.with_call(message, metadata=(("x-one", "1"), ("x-data-bin", b"\0\1")), timeout=30)
        assert answer == message and dict(call.trailing_metadata())["x-length"] == str(size)
    assert server.service.metadata[-1]["x-one"] == "1" and server.service.metadata[-1]["x-data-bin"] == b"\0\1"
    assert server.service.metadata[-1]["x-forwarded-proto"] == "https"


def test_streams_of_ten_thousand_messages(app):
    numbers = list(app.unary_stream("/shop.Shop/Count")(b"10000", timeout=60))
    assert numbers == [b"%d" % number for number in range(10_000)]
    assert app.stream_unary("/shop.Shop/Sum")((b"ab" for _ in range(10_000)), timeout=60) == b"20000"
    answers = list(app.stream_stream("/shop.Shop/Talk")((b"a%d" % number for number in range(10_000)), timeout=60))
    assert answers == [b"hello"] + [b"A%d" % number for number in range(10_000)]


def test_megabyte_messages_both_ways(app):
    answers = list(app.stream_stream("/shop.Shop/Talk")((b"a" * MIB for _ in range(30)), timeout=60))
    assert len(answers) == 31 and all(answer == b"A" * MIB for answer in answers[1:])


def test_each_side_may_wait_for_the_other(app):
    """The gateway passes each message on at once, although the client has not ended its request."""
    turn, done = threading.Semaphore(1), []

    def messages():
        for number in range(20):
            assert turn.acquire(timeout=20)
            yield b"m%d" % number

    for answer in app.stream_stream("/shop.Shop/Talk")(messages(), timeout=60):
        done.append(answer)
        if len(done) > 1:
            turn.release()
    assert len(done) == 21


def test_a_call_that_fails_has_its_status_and_message(app):
    with pytest.raises(grpc.RpcError) as failure:
        app.unary_unary("/shop.Shop/Fail")(b"", timeout=20)
    assert failure.value.code() == grpc.StatusCode.FAILED_PRECONDITION and failure.value.details() == "not today: ä"
    with pytest.raises(grpc.RpcError) as failure:
        app.unary_unary("/shop.Shop/None")(b"", timeout=20)
    assert failure.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_cancelled_call_is_cancelled_at_the_upstream(app, server):
    server.service.cancelled.clear()
    call = app.unary_unary("/shop.Shop/Hang").future(b"")
    eventually("it has begun", lambda: server.service.deadlines)
    call.cancel()
    assert server.service.cancelled.wait(20)


def test_a_deadline_reaches_the_upstream(app, server):
    server.service.deadlines.clear()
    server.service.cancelled.clear()
    with pytest.raises(grpc.RpcError) as failure:
        app.unary_unary("/shop.Shop/Hang")(b"", timeout=2)
    assert failure.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert 0 < server.service.deadlines[0] <= 2 and server.service.cancelled.wait(20)


def test_the_gateways_own_errors_are_grpc_errors(gateway):
    with channel(gateway, "dead.test") as dead, channel(gateway, "slow.test") as slow:
        with pytest.raises(grpc.RpcError) as failure:
            dead.unary_unary("/shop.Shop/Echo")(b"x", timeout=20)
        assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "could not be reached" in failure.value.details()
        with pytest.raises(grpc.RpcError) as failure:
            slow.unary_unary("/shop.Shop/Hang")(b"x", timeout=20)
        assert failure.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert "too long" in failure.value.details()


def test_the_log_and_the_metrics_have_the_status(gateway, app):
    def counted(status):
        return gateway.metric(f'aegis_grpc_calls_total{{status="{status}"}}')

    before = counted("ok"), counted("failed_precondition")
    app.unary_unary("/shop.Shop/Echo")(b"x", timeout=20)
    with pytest.raises(grpc.RpcError):
        app.unary_unary("/shop.Shop/Fail")(b"", timeout=20)
    eventually("the metrics", lambda: (counted("ok"), counted("failed_precondition")) == (before[0] + 1, before[1] + 1))

    def statuses():
        lines = [json.loads(line) for line in (gateway.folder / "access.log").read_text().splitlines()]
        return [(line["status"], line["protocol"], line.get("grpc_status")) for line in lines][-2:]

    eventually("the log", lambda: statuses() == [(200, "h2", 0), (200, "h2", 9)])


def test_a_thousand_calls_share_few_connections(gateway, app, server):
    before = gateway.metric("aegis_http2_upstream_connections_total")
    echo = app.unary_unary("/shop.Shop/Echo")
    calls = [echo.future(b"%d" % number, timeout=60) for number in range(1000)]
    assert [call.result() for call in calls] == [b"%d" % number for number in range(1000)]
    assert gateway.metric("aegis_http2_upstream_connections_total") - before <= 3


def test_over_tls_calls_choose_http2_by_themselves(run, tmp_path):
    """Other requests for the same host get HTTP/1.1, which a server of gRPC does not speak."""
    secure = Server(tmp_path)
    try:
        gateway = run(
            [{"domain": "app.test", "ssl_mode": "custom", "certificate": "site", "upstreams": [secure.url],
              "upstream_tls": {"ca_file": str(secure.ca)}, "health_check": {"grpc_service": "shop", "interval": "100ms"}}],
            issuers={"lan": {"type": "local_ca"}}, certificates={"site": {"issuer": "lan", "domains": ["app.test"]}})
        with channel(gateway) as app:
            assert app.unary_unary("/shop.Shop/Echo")(b"x", timeout=20) == b"x"
        eventually("a health check", lambda: secure.health.asked)
        assert "is not well" not in gateway.log
    finally:
        secure.stop()


def test_health_checks_ask_the_service(run):
    server = Server()
    try:
        gateway = run([{"domain": "app.test", "upstreams": [server.url],
                        "health_check": {"grpc_service": "shop", "interval": "1s"}}])

        eventually("a health check", lambda: server.health.asked)
        server.health.serving = False
        gateway.await_log(f"{server.url} is not well: its service is not serving")
        server.health.serving = True
        gateway.await_log(f"{server.url} is well again")
        assert set(server.health.asked) == {b"\x0a\x04shop"}
    finally:
        server.stop()
