"""The admin API: who may use it, what it answers, and that strangers can neither stop it nor learn anything by it."""

import datetime
import fcntl
import io
import json
import os
import pathlib
import re
import select
import socket
import sqlite3
import subprocess
import threading
import zipfile

import cryptography.x509
import pytest
from cryptography.hazmat.primitives import serialization

from admin_api import ask, command, connect, make_token
from client import Client, tls_context
from gateway import PATIENCE, PROGRAMS, eventually

CANARY = "CANARY-7e1f0c"
SITE = {"issuers": {"lan": {"type": "local_ca"}}, "certificates": {"site": {"issuer": "lan", "domains": ["app.test", "*.more.test"]}}}
HOSTS = [
    {"domain": "app.test", "ssl_mode": "custom", "certificate": "site", "respond": {"status": 200, "body": "served\n"},
     "headers": {"request": {"set": {"authorization": f"Basic {CANARY}"}}}},
    {"domain": "plain.test", "respond": {"status": 200, "body": "plain\n"}},
]


@pytest.fixture(scope="module")
def gateway(run_once):
    gateway = run_once(HOSTS, **SITE)
    gateway.reader = make_token(gateway, "reader")
    gateway.writer = make_token(gateway, "writer", "--scope", "write", "--expires", "90d")
    return gateway


PATHS = [
    "/api/v1/certificates", "/api/v1/certificates/1", "/api/v1/certificates/1/chain.pem", "/api/v1/hosts",
    "/api/v1/hosts/app.test", "/api/v1/nodes", "/api/v1/generations", "/api/v1/events", "/api/v1/openapi.json",
    "/api/v1/settings/admin-trust-bundle", "/api/v1/status", "/api/v1/renewals", "/api/v1/snapshot",
]
# Answers without an end, which have tests of their own.
STREAMS = {"/api/v1/events/stream"}


@pytest.mark.parametrize("path", PATHS)
def test_each_endpoint_needs_a_token(gateway, path):
    assert ask(gateway, path).status == 401
    good = ask(gateway, path, gateway.reader)
    assert good.status == 200 and good.body and good["Cache-Control"] == "no-store"
    assert ask(gateway, path, gateway.writer).body == good.body
    head = ask(gateway, path, gateway.reader, method="HEAD")
    assert (head.status, head["Content-Length"], head["ETag"]) == (200, str(len(good.body)), good["ETag"])
    again = ask(gateway, path, gateway.reader, f"If-None-Match: {good['ETag']}")
    assert again.status == 304 and again["ETag"] == good["ETag"]
    assert ask(gateway, path + "?nothing=1", gateway.reader).json["errors"][0]["parameter"] == "nothing"
    assert ask(gateway, path, gateway.writer, method="PUT", body=b"{}")["Allow"].startswith("GET, HEAD")


def test_the_list_of_paths_is_complete(gateway):
    paths = ask(gateway, "/api/v1/openapi.json", gateway.reader).json["paths"]
    described = [path for path, operations in paths.items() if "get" in operations and path not in STREAMS]
    patterns = [re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in described]
    assert all(any(pattern.fullmatch(path) for path in PATHS) for pattern in patterns)
    assert all(any(pattern.fullmatch(path) for pattern in patterns) for path in PATHS)


def test_the_page_of_the_api_has_an_example_of_each_endpoint(gateway):
    page = (pathlib.Path(__file__).parents[2] / "docs/api.md").read_text()
    shown = set()
    for line in re.findall(r"^\$ curl .*", page, re.M):
        path = re.search(r"https://127\.0\.0\.1:9443(/[^\s'?]*)", line)[1]
        method = re.search(r"--request (\w+)", line)
        shown.add((method[1] if method else "POST" if "--data" in line else "GET", path))
    for path, operations in ask(gateway, "/api/v1/openapi.json", gateway.reader).json["paths"].items():
        pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
        for method in operations:
            assert any(pattern.fullmatch(one) for other, one in shown if other == method.upper()), f"{method} {path}"


def test_certificates_in_the_api_are_those_that_are_served(gateway):
    (site,) = ask(gateway, "/api/v1/certificates", gateway.reader).json["items"]
    assert (site["id"], site["name"], site["owner"], site["source"]) == (1, "site", "file", "local_ca")
    assert site["domains"] == ["app.test", "*.more.test"] and site["auto_renew"] and site["status"] == "valid"
    one = ask(gateway, "/api/v1/certificates/1", gateway.reader).json
    assert {key: one[key] for key in site} == site
    assert one["hosts"] == ["app.test"] and one["failures"] == 0
    chain = ask(gateway, "/api/v1/certificates/1/chain.pem", gateway.reader).body
    leaf = cryptography.x509.load_pem_x509_certificates(chain)[0]
    assert leaf.not_valid_after_utc == datetime.datetime.fromisoformat(one["expires_at"])
    with Client(gateway.https, tls=tls_context(gateway.root), name="app.test") as client:
        assert client.socket.getpeercert(binary_form=True) == leaf.public_bytes(encoding=serialization.Encoding.DER)
    for query, found in {
        "domain=app.test": 1, "domain=x.more.test": 1, "domain=more.test": 0, "source=custom": 0, "source=local_ca": 1,
        "expires_before=2020-01-01T00:00:00Z": 0, "expires_before=2100-01-01T00:00:00Z": 1,
    }.items():
        assert len(ask(gateway, f"/api/v1/certificates?{query}", gateway.reader).json["items"]) == found, query
    for path in ("2", "0", "x", "1%20", "01"):
        assert ask(gateway, f"/api/v1/certificates/{path}", gateway.reader).problem == "not-found"


def test_hosts_in_the_api_have_the_files_settings(gateway):
    hosts = ask(gateway, "/api/v1/hosts", gateway.reader).json["items"]
    assert [host["id"] for host in hosts] == ["app.test", "plain.test"]
    one = ask(gateway, "/api/v1/hosts/app.test", gateway.reader).json
    assert one == hosts[0]
    assert (one["owner"], one["problem"], one["ssl_cert_id"], one["served_certificate"]) == ("file", None, 1, "site")
    assert one["headers"]["request"]["set"] == {"authorization": "(hidden)"}
    assert ask(gateway, "/api/v1/hosts/other.test", gateway.reader).problem == "not-found"
    assert ask(gateway, "/api/v1/hosts?limit=1", gateway.reader).json["items"] == hosts[:1]


def test_events_are_listed(gateway):
    generations = ask(gateway, "/api/v1/generations", gateway.reader).json["items"]
    assert generations[-1]["number"] == 1 and generations[-1]["outcome"] == "complete"
    events = ask(gateway, "/api/v1/events", gateway.reader).json["items"]
    assert [event["id"] for event in events] == sorted(event["id"] for event in events)
    made = [event for event in events if event["action"] == "create-token"]
    assert {"token": "reader", "scope": "read"} in [event["details"] for event in made]
    of_host = ask(gateway, "/api/v1/events?item=host:app.test", gateway.reader).json["items"]
    assert of_host and {event["item"] for event in of_host} == {"host:app.test"}
    after = ask(gateway, f"/api/v1/events?after={events[0]['id']}", gateway.reader).json["items"]
    assert after[0]["id"] == events[1]["id"]


def test_the_nodes_include_this_gateway(gateway):
    (node,) = ask(gateway, "/api/v1/nodes", gateway.reader).json["items"]
    assert node["process"] == gateway.process.pid and node["is_alive"] and node["phase"] == "ready"
    eventually(
        "it has reported the revision that it serves",
        lambda: ask(gateway, "/api/v1/nodes", gateway.reader).json["items"][0]["is_up_to_date"])


def test_the_trust_bundle_is_a_zip_archive(gateway):
    answer = ask(gateway, "/api/v1/settings/admin-trust-bundle", gateway.reader)
    assert answer["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.body)) as bundle:
        assert bundle.testzip() is None
        assert bundle.namelist() == ["aegis-local-ca.crt", "README.txt"]
        root = cryptography.x509.load_pem_x509_certificate(gateway.root.read_bytes())
        assert cryptography.x509.load_pem_x509_certificate(bundle.read("aegis-local-ca.crt")) == root
        steps = bundle.read("README.txt").decode("ascii")
        assert bundle.getinfo("README.txt").date_time[0] == root.not_valid_before_utc.year
    for system in ("macOS", "Windows", "Debian", "Fedora", "Firefox"):
        assert system in steps


def test_the_description_is_valid_openapi(gateway):
    document = ask(gateway, "/api/v1/openapi.json", gateway.reader).json
    assert document["openapi"].startswith("3.1") and document["info"]["version"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            names = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
            assert names == set(re.findall(r"\{(\w+)\}", path))


def test_answers_match_the_openapi_document(gateway):
    jsonschema = pytest.importorskip("jsonschema")
    document = ask(gateway, "/api/v1/openapi.json", gateway.reader).json
    for path in PATHS:
        answer = ask(gateway, path, gateway.reader)
        (operation,) = [
            item["get"] for pattern, item in document["paths"].items()
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path)]
        ((kind, content),) = operation["responses"]["200"]["content"].items()
        assert answer["Content-Type"] == kind
        if kind == "application/json":
            jsonschema.Draft202012Validator({**content["schema"], "components": document["components"]}).validate(answer.json)


# Authorization.

def test_bad_tokens_are_refused(gateway):
    short = make_token(gateway, "short", "--expires", "1s")
    gone = make_token(gateway, "gone")
    assert ask(gateway, "/api/v1/hosts", gone).status == 200
    command(gateway, "admin", "token", "revoke", "gone")
    assert ask(gateway, "/api/v1/hosts", gone).problem == "unauthorized"
    eventually("it has expired", lambda: ask(gateway, "/api/v1/hosts", short).status == 401)
    assert ask(gateway, "/api/v1/hosts", None, f"Authorization: Basic {gateway.reader}").status == 401
    assert ask(gateway, "/api/v1/hosts", gateway.reader, "Authorization: Bearer x").status == 401
    listed = json.loads(command(gateway, "admin", "token", "list", "--format", "json"))["tokens"]
    assert {token["name"]: token["is_expired"] for token in listed}["short"] is True
    assert all(token["last_used_at"] for token in listed if token["name"] in ("reader", "writer"))


def test_token_commands_report_errors(gateway):
    def fails(*arguments, expect=1):
        done = subprocess.run(
            [PROGRAMS / "aegis-apply", "admin", "token", *arguments], cwd=gateway.folder, capture_output=True, text=True)
        assert done.returncode == expect, done.stderr
        return done.stderr

    assert "there is a token 'reader' already" in fails("create", "reader")
    assert "did you mean 'reader'?" in fails("revoke", "raeder")
    assert "letters, digits" in fails("create", "a b", expect=64)
    assert "expires" in fails("create", "other", "--expires", "soon", expect=64)
    assert "scope" in fails("create", "other", "--scope", "all", expect=64)


def test_many_wrong_tokens_make_the_address_wait(run):
    gateway = run(HOSTS, **SITE)
    token = make_token(gateway, "ops")
    for _ in range(10):
        assert ask(gateway, "/api/v1/hosts", "aegis_" + "A" * 43).status == 401
    late = ask(gateway, "/api/v1/hosts", "aegis_" + "A" * 43)
    assert late.status == 429 and 1 <= int(late["Retry-After"]) <= 60
    # Several people may share an address, so a good token always works.
    assert ask(gateway, "/api/v1/hosts", token).status == 200
    assert gateway.ask("/healthz")[0] == 200


def test_a_change_needs_scope_and_origin(gateway):
    def post(token, *fields, **options):
        return ask(gateway, "/api/v1/nodes", token, *fields, method="POST", body=b"{}", **options)

    assert post(gateway.reader).problem == "insufficient-scope"
    assert post(gateway.writer).problem == "method-not-allowed"
    assert post(gateway.writer, f"Origin: https://127.0.0.1:{gateway.admin}").problem == "method-not-allowed"
    for origin in ("https://evil.example", f"https://127.0.0.1:{gateway.admin + 1}", f"http://127.0.0.1:{gateway.admin}", "null"):
        assert post(gateway.writer, f"Origin: {origin}").problem == "foreign-origin", origin
    assert post(gateway.writer, "Sec-Fetch-Site: same-site").problem == "foreign-origin"
    # Strangers learn nothing.
    assert post(None, "Origin: https://evil.example").status == 403 and post(None).status == 401
    reading = ask(gateway, "/api/v1/hosts", gateway.reader, "Origin: https://evil.example")
    assert reading.status == 200 and not [name for name, _ in reading.fields if name.lower().startswith("access-control")]


def test_a_foreign_host_is_refused_first(gateway):
    for host in ("evil.example", "localhost.evil.example"):
        assert ask(gateway, "/api/v1/hosts", gateway.reader, host=host).status == 421
    assert ask(gateway, "/api/v1/hosts", gateway.reader, host="localhost").status == 200


@pytest.mark.parametrize("path", [
    "/api//v1/hosts", "/api/v1/hosts/", "/api/./v1/hosts", "/api/v1/../v1/hosts", "/api/v1/%68osts", "/api/v1/hosts/%2e%2e",
    "/api/v1/hosts/a%2fb", "/api/v1/hosts/%ff"])
def test_a_path_has_one_spelling(gateway, path):
    assert ask(gateway, path, gateway.reader).problem == "bad-path"
    assert ask(gateway, path).problem == "bad-path"


@pytest.mark.parametrize("path", ["//api/v1/hosts", "/%61pi/v1/hosts", "/API/v1/hosts", "/healthz/../api/v1/hosts", "/apis"])
def test_other_spellings_of_the_api_prefix_reach_no_data(gateway, path):
    # Paths outside /api belong to the page, which accepts no token.
    answer = ask(gateway, path, gateway.reader)
    assert answer.status in (400, 401) and b"plain.test" not in answer.body


@pytest.mark.parametrize("field", ["X-HTTP-Method-Override: DELETE", "X-Method-Override: POST", "X-HTTP-Method: PUT"])
def test_no_field_replaces_the_method(gateway, field):
    assert ask(gateway, "/api/v1/hosts", gateway.reader, field).status == 200
    assert ask(gateway, "/api/v1/hosts?_method=DELETE", gateway.reader).problem == "invalid"


def test_the_file_limits_what_the_api_may_do(run):
    gateway = run(HOSTS, **SITE)
    token = make_token(gateway, "ops", "--scope", "write")

    def say(api):
        gateway.config["gateway"]["admin"] = {"listen": f"127.0.0.1:{gateway.admin}", "api": api}
        gateway.reload()

    def post():
        return ask(gateway, "/api/v1/nodes", token, method="POST", body=b"{}").problem

    assert post() == "method-not-allowed"
    say("read")
    eventually("changes are refused", lambda: post() == "read-only")
    assert ask(gateway, "/api/v1/hosts", token).status == 200
    say("off")
    eventually("there is no API", lambda: ask(gateway, "/api/v1/hosts", token).status == 404)
    assert ask(gateway, "/api/v1/hosts").status == 404 and gateway.ask("/healthz")[0] == 200
    say("write")
    eventually("it is there again", lambda: ask(gateway, "/api/v1/hosts", token).status == 200)


# Bodies and load.

def test_bodies_are_limited(gateway):
    nested = b"[" * (1 << 20)
    answer = ask(gateway, "/api/v1/hosts", gateway.writer, "Content-Type: application/json", method="POST", body=nested)
    assert answer.problem == "invalid" and "nested too deeply" in answer.json["detail"]
    assert ask(gateway, "/api/v1/hosts", gateway.reader, method="GET", body=nested).status == 200
    with connect(gateway) as client:
        # A body that is too large is refused before it is read.
        client.send(f"POST /api/v1/hosts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {gateway.writer}\r\n"
                    f"Content-Length: {(1 << 20) + 1}\r\n\r\n")
        assert client.response().status == 413
    with connect(gateway) as client:
        client.send(f"POST /api/v1/hosts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {gateway.writer}\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(20):
                client.send(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
        except OSError:
            pass
        assert client.response().status == 413
    with connect(gateway) as client:
        # Without a token a request is refused before its body is read.
        client.send("POST /api/v1/hosts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
        assert client.response().status == 401
    with connect(gateway) as client:
        client.send(f"POST /api/v1/hosts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {gateway.writer}\r\n"
                    "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert client.head().status == 100
        assert client.ask("{}").status == 415


def test_a_connection_carries_many_requests(gateway):
    request = f"GET /api/v1/hosts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {gateway.reader}\r\n\r\n"
    with connect(gateway) as client:
        first = client.ask(request)
        posted = client.ask(
            f"POST /api/v1/hosts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {gateway.writer}\r\n"
            "Content-Length: 70000\r\n\r\n", b"x" * 70000)
        assert posted.status == 415
        client.send(request * 3 + "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert [client.response().body for _ in range(4)] == 3 * [first.body] + [b"ok\n"]


def test_clients_that_disconnect_leave_nothing_behind(gateway):
    for piece in (
        f"GET /api/v1/hosts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {gateway.reader}\r\n\r\n",
        f"POST /api/v1/hosts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {gateway.writer}\r\n"
        "Content-Length: 1000000\r\n\r\n" + "x" * 100_000,
    ):
        for _ in range(30):
            client = connect(gateway)
            client.send(piece)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            client.close()
    assert ask(gateway, "/api/v1/hosts", gateway.reader).status == 200


def test_two_hundred_slow_clients_stop_neither_the_data_plane_nor_the_api(gateway):
    context = tls_context()
    slow = []
    for number in range(200):
        raw = socket.create_connection(("127.0.0.1", gateway.admin), timeout=PATIENCE)
        try:
            client = context.wrap_socket(raw)
            client.sendall(
                f"POST /api/v1/hosts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer aegis_{number:043}\r\n"
                "Content-Length: 1000000\r\n\r\n".encode() + b"[" * 10_000)
            slow.append(client)
        except OSError:
            raw.close()
        if number % 20 == 0:
            with Client(gateway.https, tls=tls_context(gateway.root), name="app.test") as served:
                assert served.get("app.test").body == b"served\n"
    assert ask(gateway, "/api/v1/hosts", gateway.reader).status == 200
    assert gateway.ask("/healthz")[0] == 200
    for client in slow:
        client.close()


def test_a_slow_state_delays_nothing_else(gateway):
    """While another process holds the lock of the state's folder, opening the state waits; only a limited number of
    requests wait for it."""
    request = f"GET /api/v1/hosts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {gateway.reader}\r\n\r\n"
    folder = os.open(gateway.folder, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        clients = [connect(gateway) for _ in range(60)]
        for client in clients:
            client.send(request)
        busy = eventually("the queue is full", lambda: select.select([client.socket for client in clients], [], [], 0)[0])
        assert gateway.ask("/healthz")[0] == 200
        with Client(gateway.https, tls=tls_context(gateway.root), name="app.test") as served:
            assert served.get("app.test").body == b"served\n"
        told = [client for client in clients if client.socket in busy]
        answer = told[0].response()
        assert answer.status == 503 and answer["Retry-After"] and json.loads(answer.body)["status"] == 503
        # Some clients go away without an answer.
        for client in clients[:30]:
            client.close()
    finally:
        os.close(folder)
    for client in clients[30:]:
        if client not in told[:1]:
            assert client.response().status in (200, 503)
        assert client.ask(request).status in (200, 503)
        client.close()
    assert ask(gateway, "/api/v1/hosts", gateway.reader).status == 200


def test_a_writing_process_delays_no_reader(gateway):
    token = make_token(gateway, "new")
    with sqlite3.connect(gateway.folder / "state.db", isolation_level=None) as state:
        state.execute("BEGIN IMMEDIATE")
        try:
            # The first use of the token can't be recorded while the state is locked.
            assert ask(gateway, "/api/v1/hosts", token).status == 200
            assert state.execute("SELECT last_used_at FROM access_tokens WHERE name = 'new'").fetchone() == (None,)
        finally:
            state.execute("ROLLBACK")
    assert ask(gateway, "/api/v1/hosts", token).status == 200
    with sqlite3.connect(gateway.folder / "state.db") as state:
        assert state.execute("SELECT last_used_at FROM access_tokens WHERE name = 'new'").fetchone()[0]


def test_status_says_what_the_command_says(run):
    gateway = run(HOSTS, **SITE)
    token = make_token(gateway, "ops")

    def status():
        mine = ask(gateway, "/api/v1/status", token).json
        theirs = json.loads(command(gateway, "status", "--format", "json"))
        assert mine["has_problem"] == theirs["has_problem"] == bool(mine["problems"]), (mine, theirs)
        assert [problem["item"] for problem in mine["problems"] if problem["item"].startswith("host:")] == [
            f"host:{host['host']}" for host in theirs["hosts"] if host["problem"]]
        for key in ("name", "state", "problem", "expires_at"):
            assert [one[key] for one in mine["identities"]] == [one[key] for one in theirs["identities"]]
        for key in ("file", "fault", "is_problem"):
            assert [one[key] for one in mine["revocation_lists"]] == [one[key] for one in theirs["revocation_lists"]]
        return mine

    good = status()
    assert (good["hosts"], good["certificates"], good["gateways"], good["problems"]) == (2, 1, 1, [])
    with sqlite3.connect(gateway.folder / "state.db") as state:
        # Another machine seems to be renewing it, so that the gateway does not.
        state.execute(
            "INSERT INTO leases VALUES ('certificate site', 'elsewhere another-boot 1 7 ops', unixepoch(), unixepoch() + 60)")
        state.execute("UPDATE position SET revision = revision + 1")
        state.execute("UPDATE certificates SET loss = 'was revoked', revision = (SELECT revision FROM position)")
    assert status()["problems"] == [{"item": "host:app.test", "problem": "its certificate was revoked"}]
    (renewal,) = ask(gateway, "/api/v1/renewals", token).json["items"]
    assert (renewal["certificate"], renewal["certificate_id"], renewal["is_due"]) == ("site", 1, True)


def test_many_requests_at_once_are_answered_or_get_503(gateway):
    statuses = []

    def one():
        answer = ask(gateway, "/api/v1/hosts", gateway.reader)
        statuses.append((answer.status, answer["Retry-After"] is not None))

    threads = [threading.Thread(target=one) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 2)
    assert len(statuses) == 60 and set(statuses) <= {(200, False), (503, True)} and (200, False) in statuses


# Secrets.

def test_no_answer_contains_a_secret(gateway):
    key = (gateway.folder / "key").read_text().strip()
    with sqlite3.connect(gateway.folder / "state.db") as state:
        sealed = state.execute("SELECT hex(sealed_key) FROM certificates").fetchone()[0].lower()
        kept = "".join(map(str, state.execute("SELECT * FROM access_tokens").fetchall()))
        events = "".join(map(str, state.execute("SELECT * FROM events").fetchall()))
    secrets = [key, sealed[20:60], CANARY, gateway.reader, gateway.writer, gateway.reader.removeprefix("aegis_"), "PRIVATE KEY"]
    answers = [ask(gateway, path, gateway.writer).body.decode("latin-1") for path in PATHS]
    answers += [ask(gateway, path, "aegis_" + "B" * 43).body.decode("latin-1") for path in PATHS[:2]]
    places = answers + [gateway.log, gateway.ask("/metrics")[1], kept, events]
    for secret in secrets:
        assert not [place for place in places if secret in place], secret[:6]


def test_a_missing_state_is_reported(run):
    gateway = run(HOSTS, **SITE)
    token = make_token(gateway, "ops")
    assert ask(gateway, "/api/v1/hosts", token).status == 200
    (gateway.folder / "state.db").rename(gateway.folder / "moved.db")
    answer = ask(gateway, "/api/v1/hosts", token)
    assert (answer.status, answer.problem, answer["Retry-After"]) == (503, "unavailable", "5")
    assert ask(gateway, "/api/v1/hosts").status == 401
    (gateway.folder / "moved.db").rename(gateway.folder / "state.db")
    assert ask(gateway, "/api/v1/hosts", token).status == 200
