"""The gateway's logs: the access log in its formats, and no secret in any."""

import fcntl
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from client import Client, tls_context
from gateway import PATIENCE, PROGRAMS, eventually, free_port
from origin import OK


def ask(gateway, http, extra=b""):
    with http(gateway.http) as client:
        client.send(
            b"GET /a?query-is-shown HTTP/1.1\r\nHost: app.test\r\nUser-Agent: \"odd\\\"\r\nReferer: http://r/\r\n"
            b"Authorization: Bearer-canary\r\nCookie: a=cookie-canary\r\nAccept: */*\r\n" + extra + b"\r\n")
        return client.response()


@pytest.fixture
def http():
    return Client


def lines(path):
    return eventually("lines in the access log", lambda: path.exists() and path.read_text().splitlines())


def test_json_lines_can_be_read_back(run, http):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": "access.log", "format": "json"}})
    answer = ask(gateway, http)
    assert answer.status == 200
    log = lines(gateway.folder / "access.log")[0]
    entry = json.loads(log)
    assert (entry["client"], entry["scheme"]) == ("127.0.0.1", "http")
    assert "peer" not in entry and "tls_version" not in entry
    assert isinstance(entry["duration_ms"], float) and re.search(r'"duration_ms":\d+\.\d{3},', log)
    assert (entry["method"], entry["host"], entry["target"]) == ("GET", "app.test", '/a?query-is-shown')
    assert (entry["status"], entry["bytes"]) == (200, 5)
    assert (entry["user_agent"], entry["referer"]) == ('"odd\\"', "http://r/")
    assert entry["request_id"] == answer["X-Request-Id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["time"])
    assert "canary" not in (gateway.folder / "access.log").read_text() + gateway.log


@pytest.mark.parametrize("form", ["json", "combined"])
def test_behind_a_trusted_proxy_the_client_is_logged(run, http, form):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"trusted_proxies": ["127.0.0.1"], "workers": 1, "access_log": {"to": "access.log", "format": form}})
    with http(gateway.http) as client:
        for field in ("X-Forwarded-For: 1.1.1.1, 8.8.8.8", "X-Forwarded-For: 2001:db8::1", "Forwarded: for=8.8.8.8"):
            assert client.get("app.test", "/", field).status == 200
    log = eventually("three lines", lambda: (found := lines(gateway.folder / "access.log")) and len(found) == 3 and found)
    if form == "combined":
        assert [line.split(" ")[0] for line in log] == ["8.8.8.8", "2001:db8::1", "127.0.0.1"]
    else:
        entries = [json.loads(line) for line in log]
        assert [entry["client"] for entry in entries] == ["8.8.8.8", "2001:db8::1", "127.0.0.1"]
        assert [entry.get("peer") for entry in entries] == ["127.0.0.1", "127.0.0.1", None]


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 300])
def test_every_byte_of_a_text_can_be_read_back(run, http, length):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": "access.log", "format": "json"}})
    # Each byte that a field may contain, after `length` plain bytes.
    agent = b"a" * length + bytes([*range(0x21, 0x7F), *range(0x80, 0x100)]) + b"\"z"
    with http(gateway.http) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\nUser-Agent: " + agent + b"\r\n\r\n")
        assert client.response().status == 200
    assert json.loads(lines(gateway.folder / "access.log")[0])["user_agent"].encode("latin-1") == agent


def test_combined_lines_have_their_form(run, http):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": "access.log", "format": "combined"}})
    ask(gateway, http)
    line = lines(gateway.folder / "access.log")[0]
    assert re.fullmatch(
        r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] '
        r'"GET /a\?query-is-shown HTTP/1\.1" 200 5 "http://r/" "\\"odd\\\\\\"" "app\.test"', line), line
    assert "canary" not in line


@pytest.mark.parametrize("form", ["json", "combined"])
def test_a_target_that_is_no_uri_stays_within_its_line(run, http, form):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": "access.log", "format": form}})
    with http(gateway.http) as client:
        assert client.ask(b'GET /"\\\xff\xc3\xa9{}? HTTP/1.1\r\nHost: app.test\r\n\r\n').status == 200
    [line] = lines(gateway.folder / "access.log")
    if form == "json":
        assert json.loads(line)["target"] == '/"\\\xff\xc3\xa9{}?'
    else:
        assert r'"GET /\"\\\xff\xc3\xa9{}? HTTP/1.1" 200 ' in line


def test_missing_values_are_a_dash_in_combined_lines(run, http):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"workers": 1, "access_log": {"to": "access.log", "format": "combined"}})
    with http(gateway.http) as client:
        assert client.get("app.test:80").status == 200
        client.send("GET / HTTP/1.0\r\n\r\n")
        assert client.response().status == 404
    with http(gateway.http) as client:
        client.send("GET / HTTP/1.1\r\nHost : app.test\r\n\r\n")
        assert (refused := client.response()).status == 400
    log = eventually("three lines", lambda: (found := lines(gateway.folder / "access.log")) and len(found) == 3 and found)
    assert [line.split("] ")[1] for line in log] == [
        '"GET / HTTP/1.1" 200 5 "-" "-" "app.test"', f'"GET / HTTP/1.0" 404 {log[1].split(" ")[9]} "-" "-" "-"',
        f'"-" 400 {len(refused.body)} "-" "-" "-"']


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_json_lines_have_the_tls_version(run, http, version):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"workers": 1, "access_log": {"to": "access.log", "format": "json"}})
    with http(gateway.https, tls_context(versions=version), "app.test") as client:
        assert client.get().status == 200
        client.send("GET / HTTP/1.1\r\nHost : app.test\r\n\r\n")
        assert client.response().status == 400
    log = eventually("both lines", lambda: (found := lines(gateway.folder / "access.log")) and len(found) == 2 and found)
    for entry in map(json.loads, log):
        assert (entry["scheme"], entry["tls_version"]) == ("https", version.name[4:].replace("_", "."))


def test_log_lines_name_upstreams_and_refusals(run, http, make_origin):
    origin = make_origin()
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"workers": 1, "access_log": {"to": "access.log", "format": "json"}})
    ask(gateway, http)
    with http(gateway.http) as client:
        client.send(b"GET / HTTP/1.1\r\nHost : app.test\r\n\r\n")
        assert client.response().status == 400
    log = eventually("both lines", lambda: (found := lines(gateway.folder / "access.log")) and len(found) == 2 and found)
    served, refused = map(json.loads, log)
    assert served["upstream"] == origin.url
    assert (refused["status"], refused["error"]) == (400, "white space before a colon")


@pytest.mark.parametrize("forms", [("json", "combined"), ("combined", "json")], ids=" then ".join)
def test_a_line_in_progress_keeps_its_form_when_the_format_changes(run, http, make_origin, forms):
    origin = make_origin()
    is_logged_otherwise = threading.Event()

    def answer(connection, request):
        is_logged_otherwise.wait()
        connection.send(OK)

    origin.answers["/held"] = answer
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"workers": 1, "access_log": {"to": "access.log", "format": forms[0]}})
    with http(gateway.http) as client:
        client.send("GET /held HTTP/1.1\r\nHost: app.test\r\n\r\n")
        eventually("the request is on its way", lambda: origin.requests)
        gateway.config["gateway"]["access_log"]["format"] = forms[1]
        gateway.reload()
        is_logged_otherwise.set()
        assert client.response().status == 200
        assert client.get("app.test", "/next").status == 200
    first, second = eventually(
        "both lines", lambda: (found := lines(gateway.folder / "access.log")) and len(found) == 2 and found)
    for line, form, path in (first, forms[0], "/held"), (second, forms[1], "/next"):
        if form == "json":
            assert (json.loads(line)["target"], json.loads(line)["status"]) == (path, 200)
        else:
            assert re.fullmatch(rf'127.0.0.1 - - \[.*\] "GET {path} HTTP/1.1" 200 2 "-" "-" "app.test"', line), line


@pytest.mark.parametrize("target", ["new.log", "none"])
def test_a_line_goes_to_the_file_that_it_was_begun_for(run, http, make_origin, target):
    origin = make_origin()
    is_logged_elsewhere = threading.Event()

    def answer(connection, request):
        is_logged_elsewhere.wait(PATIENCE)
        connection.send(OK)

    origin.answers["/held"] = answer
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"workers": 1, "access_log": {"to": "old.log", "format": "json"}})
    with http(gateway.http) as client, http(gateway.http) as other:
        client.send("GET /held HTTP/1.1\r\nHost: app.test\r\n\r\n")
        eventually("the request is on its way", lambda: origin.requests)
        # The line of this request is not written yet when the log changes.
        assert other.get(path="/before").status == 200
        gateway.config["gateway"]["access_log"] = {"to": target, "format": "combined"}
        gateway.reload()
        assert other.get(path="/after").status == 200
        is_logged_elsewhere.set()
        assert client.response().status == 200
    eventually("both lines in the old file", lambda: len(lines(gateway.folder / "old.log")) == 2)
    gateway.stop()
    assert [json.loads(line)["target"] for line in lines(gateway.folder / "old.log")] == ["/before", "/held"]
    if target == "new.log":
        [line] = lines(gateway.folder / "new.log")
        assert '"GET /after HTTP/1.1" 200 ' in line


def cut_by_upstream(gateway, client, origin):
    client.send("GET /cut HTTP/1.1\r\nHost: app.test\r\n\r\n")
    client.until(b"hello")
    origin.connections[-1].close()


def cut_by_slow_upstream(gateway, client, origin):
    client.send("GET /cut HTTP/1.1\r\nHost: app.test\r\n\r\n")
    client.until(b"hello")
    client.to_end()


def cut_by_client(gateway, client, origin):
    client.send("GET /cut HTTP/1.1\r\nHost: app.test\r\n\r\n")
    client.until(b"hello")
    # A client that only ends its sending side may still read. A reset is the end of both.
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


# By name: a function that makes one side cut an answer off, and the error in the log line.
CUTS = {
    "upstream": (cut_by_upstream, "the upstream broke off its answer"),
    "slow upstream": (cut_by_slow_upstream, "the upstream took too long"),
    "client": (cut_by_client, "the client left"),
}


@pytest.mark.parametrize("form", ["json", "combined"])
@pytest.mark.parametrize("who", CUTS)
def test_a_line_tells_that_an_answer_was_cut(run, http, make_origin, who, form):
    cut, error = CUTS[who]
    origin = make_origin()

    def begin(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        connection.more()
        return False

    origin.answers["/cut"] = begin
    read = "1s" if who == "slow upstream" else "1m"
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url], "timeouts": {"read": read}}],
        gateway={"workers": 1, "access_log": {"to": "access.log", "format": form}})
    with http(gateway.http) as client:
        assert client.get("app.test", "/whole").status == 200
        cut(gateway, client, origin)
        whole, broken = eventually(
            "both lines", lambda: (found := lines(gateway.folder / "access.log")) and len(found) == 2 and found)
    if form == "json":
        assert "error" not in json.loads(whole)
        assert [json.loads(broken)[key] for key in ("status", "bytes", "error")] == [200, 5, error]
    else:
        assert whole.endswith(' 200 2 "-" "-" "app.test"')
        assert broken.endswith(' 200 5 "-" "-" "app.test" X')


def test_a_log_that_can_not_be_opened_is_a_problem_until_it_can(run, http):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": "missing/access.log", "format": "json"}})
    assert ask(gateway, http).status == 200
    assert gateway.metric("aegis_state_problems") == 1

    def status():
        return subprocess.run(
            [PROGRAMS / "aegis-apply", "status", "--state", "state.db"], cwd=gateway.folder, capture_output=True,
            text=True, check=True).stdout

    # The gateway's row comes a moment after it is ready.
    eventually(
        "the problem in status", lambda: "missing/access.log" in (said := status()) and "No such file" in said)
    (gateway.folder / "missing").mkdir()
    eventually("the problem's end", lambda: gateway.metric("aegis_state_problems") == 0)
    ask(gateway, http)
    assert json.loads(lines(gateway.folder / "missing/access.log")[0])["status"] == 200
    assert gateway.log.count("can't be opened") == 1


@pytest.mark.parametrize("form", ["json", "combined"])
def test_a_text_of_any_length_fits_into_a_line(run, http, form):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": "access.log", "format": form}, "limits": {"header_bytes": "1MiB"}})
    with http(gateway.http) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\nUser-Agent: " + b"\xff" * 1_040_000 + b"\r\n\r\n")
        assert client.response().status == 200
    line = lines(gateway.folder / "access.log")[0]
    assert "..." in line and len(line) < 1_000_000


def test_a_pipe_without_a_reader_yet_can_be_the_log(run, http, tmp_path):
    pipe = tmp_path / "log"
    os.mkfifo(pipe)
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": str(pipe), "format": "combined"}})
    assert ask(gateway, http).status == 200
    with open(pipe, "rb", buffering=0) as reader:
        assert b"GET /a?query-is-shown" in reader.readline()


def test_the_log_can_be_the_standard_output(run, http):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": "stdout", "format": "json"}})
    ask(gateway, http)
    gateway.await_log('"method":"GET"', '"status":200')


def test_an_unread_log_delays_no_request(run):
    gateway = run([{"domain": "app.test", "upstreams": [f"http://127.0.0.1:{free_port()}"]}])
    gateway.stop()
    unread, log = os.pipe()
    # The pipe holds 4 KiB, a few lines.
    fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 4096)
    gateway.launch(stderr=log)
    gateway.await_ready()
    # Each failed request writes a line.
    with Client(gateway.http) as client:
        for _ in range(100):
            assert client.get("app.test").status == 502
    # The control thread, which writes the lines, still follows the state.
    gateway.config["hosts"].append({"domain": "other.test", "respond": {"body": "other"}})
    gateway.reload()
    with Client(gateway.http) as client:
        assert client.get("other.test").status == 200
    text = b""
    with open(unread, "rb", buffering=0) as reader:
        os.close(log)
        text += reader.read(1 << 20)
        # SIGHUP causes another line. The log has room again, so it reports the lost lines first.
        gateway.process.send_signal(signal.SIGHUP)
        while b"lines of this log were lost" not in text:
            part = reader.read(1 << 16)
            assert part, text[-500:]
            text += part
        gateway.stop()
    assert all(line.startswith(b"20") for line in text.splitlines())


HOST = "Host: app.test\r\n"
CHUNKED = HOST + "Transfer-Encoding: chunked\r\n\r\n"
# By name: the status and the request.
REFUSALS = {
    "malformed": (400, "GET / HTTP/1.1\r\nHost : app.test\r\n\r\n"),
    "malformed chunks": (400, f"POST / HTTP/1.1\r\n{CHUNKED}x\r\n"),
    "unknown host": (404, "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n"),
    "method": (405, f"TRACE / HTTP/1.1\r\n{HOST}\r\n"),
    "slow head": (408, "GET / HT"),
    "slow body": (408, f"POST / HTTP/1.1\r\n{HOST}Content-Length: 9\r\n\r\nhi"),
    "large body": (413, f"POST / HTTP/1.1\r\n{HOST}Content-Length: 2000\r\n\r\n"),
    "large chunks": (413, f"POST / HTTP/1.1\r\n{CHUNKED}7d0\r\n"),
    "large head": (431, f"GET / HTTP/1.1\r\n{HOST}A: {2000 * 'a'}\r\n\r\n"),
    "nobody answers": (502, f"GET / HTTP/1.1\r\n{HOST}\r\n"),
    "version": (505, f"GET / HTTP/3.0\r\n{HOST}\r\n"),
    "fixed": (200, "GET / HTTP/1.1\r\nHost: fixed.test\r\n\r\n"),
    "large fixed": (200, "GET / HTTP/1.1\r\nHost: large.test\r\n\r\n"),
    "plain": (301, "GET / HTTP/1.1\r\nHost: secure.test\r\n\r\n"),
}


@pytest.mark.parametrize("form", ["json", "combined"])
def test_a_line_has_the_number_of_body_bytes_sent(run, http, form):
    limits = {"request_header_timeout": "1s", "body_progress_timeout": "1s", "body_bytes": "1000B", "header_bytes": "1KiB"}
    gateway = run(
        [
            {"domain": "app.test", "upstreams": [f"http://127.0.0.1:{free_port()}"]},
            {"domain": "fixed.test", "respond": {"body": "hello"}},
            {"domain": "large.test", "respond": {"body": 300_000 * "x"}},
            {"domain": "secure.test", "respond": {"body": "hello"}, "ssl_mode": "custom", "certificate": "web",
             "force_https": True},
        ],
        issuers={"lan": {"type": "local_ca"}}, certificates={"web": {"issuer": "lan", "domains": ["secure.test"]}},
        gateway={"workers": 1, "limits": limits, "access_log": {"to": "access.log", "format": form}})
    expected = []
    for name, (status, request) in REFUSALS.items():
        for method in (None, "HEAD"):
            if method and request.startswith(("POST", "TRACE")):
                continue
            with http(gateway.http) as client:
                client.send(request if not method else request.replace("GET", method, 1))
                response = client.response(method or "GET")
            assert response.status == status, name
            assert method is None or response.body == b""
            expected.append((name, status, len(response.body)))

    def told():
        text = (gateway.folder / "access.log").read_text()
        if form == "json":
            return [(entry["status"], entry["bytes"]) for entry in map(json.loads, text.splitlines())]
        return [tuple(map(int, re.search(r'" (\d+) (\d+) "', line).groups())) for line in text.splitlines()]

    eventually("all lines", lambda: len(told()) == len(expected))
    assert [(name, *line) for (name, *_), line in zip(expected, told())] == expected
    # Only a redirect has an empty body.
    assert sum(size > 0 for *_, size in expected) == len(REFUSALS) - 1


# By name: the error in the log line of a refusal in REFUSALS.
REASONS = {
    "malformed": "white space before a colon",
    "malformed chunks": "malformed chunk size",
    "slow head": "the request took too long",
    "slow body": "the request took too long",
    "large body": "the body is too large",
    "large chunks": "the body is too large",
}


@pytest.mark.parametrize("name", REASONS)
def test_a_refusal_is_logged_with_its_reason_whether_or_not_the_head_was_read(run, http, name):
    limits = {"request_header_timeout": "1s", "body_progress_timeout": "1s", "body_bytes": "1000B"}
    gateway = run(
        [{"domain": "app.test", "upstreams": [f"http://127.0.0.1:{free_port()}"]}],
        gateway={"workers": 1, "limits": limits, "access_log": {"to": "access.log", "format": "json"}})
    status, request = REFUSALS[name]
    with http(gateway.http) as client:
        client.send(request)
        assert client.response("POST").status == status
        assert client.is_closed()
    line, = map(json.loads, lines(gateway.folder / "access.log"))
    assert (line["status"], line.get("error")) == (status, REASONS[name])


def test_a_bad_body_is_logged_with_its_reason_when_the_answer_has_begun(run, http, make_origin):
    origin = make_origin()

    def begin(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
        while connection.more():
            pass

    origin.early["/"] = begin
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"workers": 1, "limits": {"body_buffer_bytes": 0}, "access_log": {"to": "access.log", "format": "json"}})
    with http(gateway.http) as client:
        client.send(f"POST / HTTP/1.1\r\n{CHUNKED}2\r\nhi\r\n")
        assert client.head().status == 200
        client.send("x\r\n")
        assert client.to_end() == b"he"
    line, = map(json.loads, lines(gateway.folder / "access.log"))
    assert (line["status"], line.get("error")) == (200, "malformed chunk size")
