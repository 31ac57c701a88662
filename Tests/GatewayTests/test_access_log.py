"""The lines of the access log: their form, and every value in them. No secret is in any."""

import json
import re
import ssl

import pytest

from access_log import ask, lines
from client import Client, tls_context
from gateway import eventually


def test_json_lines_can_be_read_back(run):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": "access.log", "format": "json"}})
    answer = ask(gateway)
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
def test_behind_a_trusted_proxy_the_client_is_logged(run, form):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"trusted_proxies": ["127.0.0.1"], "workers": 1, "access_log": {"to": "access.log", "format": form}})
    with Client(gateway.http) as client:
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
def test_every_byte_of_a_text_can_be_read_back(run, length):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": "access.log", "format": "json"}})
    # Each byte that a field may contain, except blanks, after `length` plain bytes.
    agent = b"a" * length + bytes([*range(0x21, 0x7F), *range(0x80, 0x100)]) + b"\"z"
    with Client(gateway.http) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\nUser-Agent: " + agent + b"\r\n\r\n")
        assert client.response().status == 200
    assert json.loads(lines(gateway.folder / "access.log")[0])["user_agent"].encode("latin-1") == agent


def test_combined_lines_have_their_form(run):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": "access.log", "format": "combined"}})
    ask(gateway)
    line = lines(gateway.folder / "access.log")[0]
    assert re.fullmatch(
        r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] '
        r'"GET /a\?query-is-shown HTTP/1\.1" 200 5 "http://r/" "\\"odd\\\\\\"" "app\.test"', line), line
    assert "canary" not in line


@pytest.mark.parametrize("form", ["json", "combined"])
def test_a_target_that_is_no_uri_stays_within_its_line(run, form):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": "access.log", "format": form}})
    with Client(gateway.http) as client:
        assert client.ask(b'GET /"\\\xff\xc3\xa9{}? HTTP/1.1\r\nHost: app.test\r\n\r\n').status == 200
    [line] = lines(gateway.folder / "access.log")
    if form == "json":
        assert json.loads(line)["target"] == '/"\\\xff\xc3\xa9{}?'
    else:
        assert r'"GET /\"\\\xff\xc3\xa9{}? HTTP/1.1" 200 ' in line


def test_missing_values_are_a_dash_in_combined_lines(run):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"workers": 1, "access_log": {"to": "access.log", "format": "combined"}})
    with Client(gateway.http) as client:
        assert client.get("app.test:80").status == 200
        client.send("GET / HTTP/1.0\r\n\r\n")
        assert client.response().status == 404
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.1\r\nHost : app.test\r\n\r\n")
        assert (refused := client.response()).status == 400
    log = eventually("three lines", lambda: (found := lines(gateway.folder / "access.log")) and len(found) == 3 and found)
    assert [line.split("] ")[1] for line in log] == [
        '"GET / HTTP/1.1" 200 5 "-" "-" "app.test"', f'"GET / HTTP/1.0" 404 {log[1].split(" ")[9]} "-" "-" "-"',
        f'"-" 400 {len(refused.body)} "-" "-" "-"']


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_json_lines_have_the_tls_version(run, version):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"workers": 1, "access_log": {"to": "access.log", "format": "json"}})
    with Client(gateway.https, tls_context(versions=version), "app.test") as client:
        assert client.get().status == 200
        client.send("GET / HTTP/1.1\r\nHost : app.test\r\n\r\n")
        assert client.response().status == 400
    log = eventually("both lines", lambda: (found := lines(gateway.folder / "access.log")) and len(found) == 2 and found)
    for entry in map(json.loads, log):
        assert (entry["scheme"], entry["tls_version"]) == ("https", version.name[4:].replace("_", "."))


def test_log_lines_name_upstreams_and_refusals(run, make_origin):
    origin = make_origin()
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"workers": 1, "access_log": {"to": "access.log", "format": "json"}})
    ask(gateway)
    with Client(gateway.http) as client:
        client.send(b"GET / HTTP/1.1\r\nHost : app.test\r\n\r\n")
        assert client.response().status == 400
    log = eventually("both lines", lambda: (found := lines(gateway.folder / "access.log")) and len(found) == 2 and found)
    served, refused = map(json.loads, log)
    assert served["upstream"] == origin.url
    assert (refused["status"], refused["error"]) == (400, "white space before a colon")


@pytest.mark.parametrize("form", ["json", "combined"])
def test_a_text_of_any_length_fits_into_a_line(run, form):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": "access.log", "format": form}, "limits": {"header_bytes": "1MiB"}})
    with Client(gateway.http) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\nUser-Agent: " + b"\xff" * 1_040_000 + b"\r\n\r\n")
        assert client.response().status == 200
    line = lines(gateway.folder / "access.log")[0]
    assert "..." in line and len(line) < 1_000_000
