"""Attacks on the admin API, each with its answer, while honest clients of the gateway are served."""

import concurrent.futures
import contextlib
import resource
import socket
import statistics
import subprocess
import time

import pytest

from admin_api import ask, command, connect, make_token
from client import Client, tls_context
from gateway import PATIENCE, eventually
from honest import Honest

HOSTS = [{"domain": "honest.test", "respond": {"body": "ok"}}]
SLOW = 1000


@pytest.fixture(scope="module")
def gateway(run_once):
    gateway = run_once(HOSTS)
    gateway.reader = make_token(gateway, "reader")
    gateway.writer = make_token(gateway, "writer", "--scope", "write")
    gateway.expired = make_token(gateway, "expired", "--expires", "1s")
    gateway.revoked = make_token(gateway, "revoked")
    command(gateway, "admin", "token", "revoke", "revoked")
    eventually("it has expired", lambda: ask(gateway, "/api/v1/hosts", gateway.expired).status == 401)
    return gateway


class Attack:
    """A request, and the answer that it gets. Words in braces stand for what only the running gateway has."""

    def __init__(self, what, status, problem, *fields, path="/api/v1/hosts", method="GET", token="{reader}", host="127.0.0.1",
                 body=None):
        self.what, self.status, self.problem = what, status, problem
        self.fields, self.path, self.method, self.token, self.host, self.body = fields, path, method, token, host, body

    def run(self, gateway):
        def filled(text):
            return text and text.replace("{reader}", gateway.reader).replace("{writer}", gateway.writer).replace(
                "{expired}", gateway.expired).replace("{revoked}", gateway.revoked).replace("{port}", str(gateway.admin))

        return ask(
            gateway, filled(self.path), filled(self.token), *map(filled, self.fields), method=self.method, host=self.host,
            body=self.body)


JSON = "Content-Type: application/json"
NEW = b'{"domain":"evil.test","respond":{}}'


def change(what, status, problem, *fields, token="{writer}", body=NEW, **options):
    return Attack(what, status, problem, JSON, *fields, method="POST", token=token, body=body, **options)


def nested(depth, closes=True):
    opening, closing = b'{"domain":' + b"[" * depth, b"]" * depth + b"}"
    return opening + (closing if closes else b"")


ATTACKS = [
    Attack("no token", 401, "unauthorized", token=None),
    Attack("a wrong token", 401, "unauthorized", token="aegis_" + "A" * 43),
    Attack("a token without its prefix", 401, "unauthorized", token="A" * 43),
    Attack("an expired token", 401, "unauthorized", token="{expired}"),
    Attack("a revoked token", 401, "unauthorized", token="{revoked}"),
    Attack("a token and another one", 401, "unauthorized", "Authorization: Bearer {reader}"),
    Attack("another scheme", 401, "unauthorized", "Authorization: Basic {reader}", token=None),
    Attack("a token in the query", 401, "unauthorized", path="/api/v1/hosts?access_token={reader}", token=None),
    Attack("a session that nobody has opened", 401, "unauthorized", "Cookie: __Host-aegis=" + "A" * 43, token=None),
    Attack("two sessions", 401, "unauthorized", "Cookie: __Host-aegis=a; __Host-aegis=b", token=None),
    Attack("what nobody may know, without a token", 401, "unauthorized", path="/api/v1/nothing", token=None),
    change("a change with the scope to read", 403, "insufficient-scope", token="{reader}"),
    change("an unknown change with the scope to read", 403, "insufficient-scope", token="{reader}", path="/api/v1/nothing"),
    Attack("a foreign host", 421, None, host="evil.example"),
    change("DNS rebinding", 421, None, "Origin: https://evil.example:{port}", "Sec-Fetch-Site: same-origin", host="evil.example"),
    change("a foreign origin", 403, "foreign-origin", "Origin: https://evil.example"),
    change("the origin of another port", 403, "foreign-origin", "Origin: https://127.0.0.1:1"),
    change("the origin without its port", 403, "foreign-origin", "Origin: https://127.0.0.1"),
    change("the origin without TLS", 403, "foreign-origin", "Origin: http://127.0.0.1:{port}"),
    change("the origin of a sandbox", 403, "foreign-origin", "Origin: null"),
    change("two origins", 403, "foreign-origin", "Origin: https://127.0.0.1:{port}", "Origin: https://evil.example"),
    change("another site", 403, "foreign-origin", "Sec-Fetch-Site: cross-site"),
    change("the same site", 403, "foreign-origin", "Sec-Fetch-Site: same-site"),
    change("another method in a field", 201, None, "X-HTTP-Method-Override: GET", body=b'{"domain":"a.test","respond":{}}'),
    Attack("a change by a field", 200, None, "X-HTTP-Method-Override: DELETE", path="/api/v1/hosts/a.test", token="{writer}"),
    Attack("a change by a query", 400, "invalid", path="/api/v1/hosts/a.test?_method=DELETE", token="{writer}"),
    Attack("an unknown method", 405, "method-not-allowed", method="PURGE", path="/api/v1/hosts/a.test", token="{writer}"),
    *[Attack(f"the path {path}", 400, "bad-path", path=path) for path in (
        "/api/v1//hosts", "/api/v1/hosts/", "/api/v1/./hosts", "/api/v1/../v1/hosts", "/api/v1/hosts/%2e%2e/hosts",
        "/api/v1/%68osts", "/api/v1/hosts/a%2fb", "/api/v1/hosts/a%5cb", "/api/v1/hosts/%01",
        "/api/v1/hosts/%ff")],
    # These never reach the API.
    *[Attack(f"the path {path}", 400, None, path=path) for path in ("/api/v1/hosts/%00", "/api/v1/hosts/%")],
    change("a megabyte of nested JSON", 400, "invalid", body=nested((1 << 19) - 20)),
    change("a megabyte of nested JSON without an end", 400, "invalid", body=nested((1 << 20) - 20, closes=False)),
    change("one level too many", 400, "invalid", body=nested(16)),
    change("a megabyte of members", 400, "invalid", body=b'{"domain":"x.test",' + b",".join(
        b'"m%d":1' % number for number in range(90_000)) + b"}"),
    change("a name twice", 400, "invalid", body=b'{"domain":"x.test","domain":"y.test","respond":{}}'),
    change("too large a body", 413, "too-large", body=b" " * ((1 << 20) + 1)),
    Attack("a body of a form", 415, "unsupported-type", "Content-Type: text/plain", method="POST", token="{writer}", body=NEW),
    change("a long key", 400, "invalid", "Idempotency-Key: " + "k" * 256),
]


@pytest.fixture(scope="module")
def outcome(gateway):
    """The answers to all attacks, one after another, while an honest client is served."""
    answers = {}
    with Honest(gateway) as honest:
        for attack in ATTACKS:
            # There are fewer than ten wrong tokens among them, which would make this address wait.
            answers[attack.what] = attack.run(gateway)
    return answers, honest


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.what)
def test_each_attack_has_its_answer(outcome, attack):
    answer = outcome[0][attack.what]
    assert (answer.status, getattr(answer, "problem", None)) == (attack.status, attack.problem), answer.body[:500]
    assert not [name for name, _ in answer.fields if name.lower().startswith("access-control")]


def test_attacks_change_nothing_and_delay_nobody(outcome, gateway, figures):
    _, honest = outcome
    assert honest.faults == [] and honest.count > 0
    hosts = [item["id"] for item in ask(gateway, "/api/v1/hosts", gateway.reader).json["items"]]
    assert hosts == ["a.test", "honest.test"]
    figures.append(f"{len(ATTACKS)} attacks on the admin API: {honest.count} honest requests, slowest {honest.slowest * 1000:.0f} ms")


def test_a_thousand_slow_clients_stop_neither_the_gateway_nor_the_api(gateway, figures):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))

    def times():
        found = []
        for _ in range(200):
            started = time.perf_counter()
            with Client(gateway.http) as client:
                assert client.get("honest.test").body == b"ok"
            found.append((time.perf_counter() - started) * 1000)
        return statistics.quantiles(found, n=100)[98]

    before = times()
    slow = []
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for number in range(SLOW):
            # They come from another address, since the number of connections of one client is limited.
            raw = stack.enter_context(contextlib.closing(
                socket.create_connection(("127.0.0.1", gateway.admin), PATIENCE, ("127.0.0.2", 0))))
            # A third of them says nothing, a third begins a head, and a third begins a body.
            if number % 3 and number < SLOW // 2:
                tls = tls_context().wrap_socket(raw)
                stack.callback(tls.close)
                head = f"POST /api/v1/hosts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {gateway.writer}\r\n"
                tls.send(head.encode() + (b"Content-Length: 1000000\r\n\r\n{" if number % 3 == 1 else b""))
            slow.append(raw)
        with Honest(gateway) as honest:
            assert ask(gateway, "/api/v1/hosts", gateway.reader).status == 200
            assert gateway.ask("/healthz")[0] == 200
            meanwhile = times()
        assert honest.faults == []
    figures.append(
        f"{SLOW} slow clients of the admin listener: p99 of honest requests {before:.1f} ms before, {meanwhile:.1f} ms meanwhile")
    assert ask(gateway, "/api/v1/hosts", gateway.reader).status == 200


def test_many_programs_at_once_get_their_answers(gateway):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = set(pool.map(lambda _: ask(gateway, "/api/v1/status", gateway.reader).status, range(200)))
    assert statuses <= {200, 503} and 200 in statuses


def test_curl_gets_no_page_by_another_name(gateway):
    done = subprocess.run(
        ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--cacert", gateway.root,
         "--connect-to", f"evil.example:{gateway.admin}:127.0.0.1:{gateway.admin}", "--insecure",
         f"https://evil.example:{gateway.admin}/"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "421"
    with connect(gateway) as client:
        assert client.ask(f"GET https://evil.example:{gateway.admin}/ HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 421
