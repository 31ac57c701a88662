"""Upstreams that misbehave, and which of several upstreams gets a request."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from client import BrokenTransfer, Client
from gateway import PATIENCE, PROGRAMS, eventually, free_port
from origin import OK
from process import held


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


def post(host="app.test", path="/"):
    return f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi"


# One upstream.

def test_a_connection_with_bytes_after_the_answer_is_not_used_again(gateway, origin):
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    origin.answers["/"] = OK + poison
    with Client(gateway.http) as client:
        for _ in range(3):
            assert client.get().body == b"ok"
    assert len({request.connection for request in origin.requests}) == 3


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_an_unexpected_body_is_not_taken_for_the_next_answer(gateway, origin, method):
    status = "200 OK" if method == "HEAD" else "304 Not Modified"
    origin.answers["/bad"] = f"HTTP/1.1 {status}\r\nContent-Length: 45\r\n\r\n".encode() + OK
    with Client(gateway.http) as client:
        assert client.ask(f"{method} /bad HTTP/1.1\r\nHost: app.test\r\n\r\n").body == b""
        assert client.get().body == b"ok"
    assert origin.requests[0].connection != origin.requests[1].connection


def test_bytes_on_an_idle_connection_are_not_used_as_an_answer(gateway, origin):
    with Client(gateway.http) as client:
        assert client.get().body == b"ok"
        first = origin.connections[origin.last.connection]
        first.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        assert client.get().body == b"ok"
        assert client.get().body == b"ok"
    assert first.number not in {request.connection for request in origin.requests[1:]}


@pytest.mark.parametrize("unasked", [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", b""], ids=["bytes", "the end"])
def test_bytes_that_arrive_with_a_request_are_noticed_before_the_connection_is_used(gateway, origin, unasked):
    """A request and an upstream's bytes both wait when the gateway looks, and it sees the request first."""
    with Client(gateway.http) as client:
        assert client.get().body == b"ok"
        first = origin.connections[origin.last.connection]
        retries = gateway.metric("aegis_upstream_retries_total")
        with held(gateway.process.pid):
            client.send(post())
            first.send(unasked) if unasked else first.close()
        assert client.response().body == b"ok"
    assert first.number != origin.last.connection
    assert gateway.metric("aegis_upstream_retries_total") == retries


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


def test_a_kept_connection_closed_by_its_server_costs_no_request(gateway, origin):
    first = []

    def close_on_second(connection, request):
        if connection.number in first:
            connection.close()
            return False
        first.append(connection.number)
        connection.send(OK)

    origin.answers["/"] = close_on_second
    with Client(gateway.http) as client:
        assert client.get().status == 200
        assert client.get().status == 200, "repeated on a new connection"
        assert client.ask(post()).status == 502, "not repeated"
    assert [request.method for request in origin.requests] == ["GET", "GET", "GET", "POST"]


def test_a_failed_upgrade_leaves_no_poisoned_connection(gateway, origin):
    upgrade = "GET /ws HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    with Client(gateway.http) as client:
        client.send(upgrade + "GET /next HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert client.response().status == 200
        assert client.response().status == 200
    assert [request.target for request in origin.requests] == ["/ws", "/next"]


# Several upstreams.

def test_only_an_idempotent_request_is_repeated_at_another_upstream(run, make_origin):
    bad, good = make_origin(), make_origin()
    bad.answer = lambda connection, request: connection.reset() or False
    gateway = run([{"domain": "app.test", "upstreams": [bad.url, good.url]}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        assert [client.get().status for _ in range(4)] == [200] * 4
    assert 1 <= len(bad.requests) <= 3 and len(good.requests) == 4


def test_a_post_is_not_repeated_once_it_was_sent(run, make_origin):
    bad, good = make_origin(), make_origin()
    bad.answer = lambda connection, request: connection.reset() or False
    gateway = run([{"domain": "app.test", "upstreams": [bad.url, good.url]}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        statuses = [client.ask(post()).status for _ in range(4)]
    assert sorted(statuses) == [200, 200, 502, 502]
    assert (len(bad.requests), len(good.requests)) == (2, 2)


def test_nothing_is_repeated_once_a_byte_has_come_back(run, make_origin):
    bad, good = make_origin(), make_origin()

    def begin(connection, request):
        connection.send(b"HTTP/1.1 200")
        return False

    bad.answer = begin
    gateway = run([{"domain": "app.test", "upstreams": [bad.url, good.url]}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        statuses = [client.get().status for _ in range(4)]
    assert sorted(statuses) == [200, 200, 502, 502]


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


# Other transports.

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


def test_unix_sockets_are_upstreams(run, make_origin, tmp_path):
    origin = make_origin(path=tmp_path / "s")
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "preserve_host": False}])
    with Client(gateway.http) as client:
        assert client.ask(post()).body == b"ok"
        assert client.get().body == b"ok"
    assert origin.requests[0].body == b"hi"


def secure_origin(run, make_origin, name):
    """An origin over TLS with a certificate of a local CA that the system does not trust; and the CA's file."""
    maker = run(
        [{"domain": "app.test", "respond": {"status": 200, "body": ""}}],
        issuers={"lan": {"type": "local_ca"}}, certificates={"up": {"issuer": "lan", "domains": [name]}})
    subprocess.run(
        [PROGRAMS / "aegis-apply", "certificates", "export", "up", "--out", "up.pem", "--with-key"],
        cwd=maker.folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(maker.folder / "up.pem")
    return make_origin(tls=context), maker.root


def test_an_https_upstream_whose_certificate_is_not_trusted_is_502(run, make_origin):
    origin, _ = secure_origin(run, make_origin, "127.0.0.1")
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}])
    with Client(gateway.http) as client:
        response = client.get()
        assert response.status == 502
        gateway.await_log("no answer from", origin.url, "TLS", "is self-signed, and not among those", response["X-Request-Id"])
    assert origin.requests == []


def test_an_https_upstream_of_a_ca_of_the_host_is_trusted(run, make_origin):
    origin, root = secure_origin(run, make_origin, "127.0.0.1")
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "upstream_tls": {"ca_file": str(root)}}])
    with Client(gateway.http) as client:
        for _ in range(2):
            assert client.get().status == 200
    assert len({request.connection for request in origin.requests}) == 1


def test_a_kept_connection_with_half_a_record_on_it_is_not_used_again(run, make_origin):
    origin, root = secure_origin(run, make_origin, "127.0.0.1")
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "upstream_tls": {"ca_file": str(root)}}], gateway={"workers": 1})

    def half_a_record_more(connection, request):
        # Sent in one segment: OpenSSL reads both from the socket, but returns only the answer.
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        connection.send(OK)
        os.write(connection.socket.fileno(), b"\x17\x03\x03\x00\x40half")
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    origin.answers["/half"] = half_a_record_more
    with Client(gateway.http) as client:
        assert client.get(path="/half").body == b"ok"
        assert client.ask(post()).body == b"ok"


def test_an_https_upstream_with_a_certificate_for_another_name_is_502(run, make_origin):
    origin, root = secure_origin(run, make_origin, "other.test")
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "upstream_tls": {"ca_file": str(root)}}])
    with Client(gateway.http) as client:
        assert client.get().status == 502
    gateway.await_log("no answer from", origin.url, "is not for the server's name")


def test_bytes_of_a_broken_client_reach_no_upstream(run, make_origin):
    origin, root = secure_origin(run, make_origin, "127.0.0.1")
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "upstream_tls": {"ca_file": str(root)}}], gateway={"workers": 1})
    with Client(gateway.https) as broken:
        broken.send(b"this is no TLS, but there is much of it")
        assert broken.is_closed()
    with Client(gateway.http) as client:
        assert client.ask(post()).status == 200


def test_an_unusable_ca_file_trusts_nobody(run, make_origin):
    origin, _ = secure_origin(run, make_origin, "127.0.0.1")
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "upstream_tls": {"ca_file": "missing.pem"}}])
    with Client(gateway.http) as client:
        assert client.get().status == 502
    gateway.await_log("no answer from", "missing.pem")
    assert origin.requests == []


def test_a_full_read_keeps_the_cas_of_a_file_that_became_unusable(run, make_origin, tmp_path):
    origin, root = secure_origin(run, make_origin, "127.0.0.1")
    _, other = secure_origin(run, make_origin, "127.0.0.1")
    file = tmp_path / "cas.pem"
    file.write_bytes(root.read_bytes())
    gateway = run([{"domain": "app.test", "upstreams": [origin.url], "upstream_tls": {"ca_file": str(file)}}])
    # Each request needs a connection of its own.
    origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

    def status():
        with Client(gateway.http) as client:
            return client.get().status

    def read_all():
        done = gateway.log.count("is being put in force")
        gateway.process.send_signal(signal.SIGHUP)
        eventually("the state read anew", lambda: gateway.log.count("is being put in force") > done)

    assert status() == 200
    file.write_text("no certificate")
    read_all()
    gateway.await_log("error: the CAs in", "cas.pem", "can't be used")
    eventually("the problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 1)
    assert [status() for _ in range(4)] == [200] * 4
    # The file's other CA is trusted instead.
    file.write_bytes(other.read_bytes())
    read_all()
    eventually("an upstream that is not trusted", lambda: status() == 502)
    eventually("no problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 0)


def test_bytes_of_an_https_upstream_before_tls_are_not_used(run):
    spoken = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def speak():
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
            spoken.set()
            while connection.recv(4096):
                pass

    threading.Thread(target=speak, daemon=True).start()
    gateway = run([{"domain": "app.test", "upstreams": [f"https://127.0.0.1:{listener.getsockname()[1]}"]}])
    with Client(gateway.http) as client:
        assert client.get().status == 502
    assert spoken.is_set()
    listener.close()


@pytest.mark.parametrize("framing, body, times", [
    ("Transfer-Encoding: chunked", b"0\r\n\r\n", 2),
    ("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n", 2),
    ("Content-Length: 5", b"hello", 2),
    # The gateway does not keep all of such a long body.
    ("Content-Length: 1000000", bytes(1_000_000), 1),
], ids=["no chunk", "chunks", "length", "large"])
def test_a_request_is_repeated_with_its_whole_body_or_not_at_all(gateway, origin, framing, body, times):
    origin.answers["/close"] = lambda connection, request: connection.close()
    with Client(gateway.http) as client:
        assert client.get().status == 200
        answer = client.ask(f"PUT /close HTTP/1.1\r\nHost: app.test\r\n{framing}\r\n\r\n".encode() + body)
        assert answer.status == 502
    puts = origin.requests[1:]
    assert len(puts) == times and {request.method for request in puts} == {"PUT"}
    assert len({request.raw for request in puts}) == 1


def test_a_request_is_repeated_on_a_new_connection_after_a_dead_one(run, make_origin):
    """All connections that wait in the pool may be dead, however many there are."""
    origin, together, dead = make_origin(), threading.Barrier(3), set()

    def answer(connection, request):
        if connection.number in dead:
            return False
        together.wait(10)
        connection.send(OK)

    origin.answer = answer
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}], gateway={"workers": 1})
    clients = [Client(gateway.http) for _ in range(3)]
    for client in clients:
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
    assert [client.response().status for client in clients] == [200] * 3
    dead.update(request.connection for request in origin.requests)
    together = threading.Barrier(1)
    for client in clients:
        assert client.get().status == 200
        client.close()


@pytest.mark.parametrize("parameter, waits", [("timeout=1", False), ("timeout=0", False), ("timeout=60, max=5", True)])
def test_a_kept_connection_is_not_used_at_the_end_of_its_announced_timeout(gateway, origin, parameter, waits):
    origin.answer = f"HTTP/1.1 200 OK\r\nKeep-Alive: {parameter}\r\nContent-Length: 2\r\n\r\nok".encode()
    with Client(gateway.http) as client:
        for _ in range(3):
            assert client.get().status == 200
    assert len({request.connection for request in origin.requests}) == (1 if waits else 3)


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
