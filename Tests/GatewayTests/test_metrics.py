"""The content of /metrics, in Prometheus's format."""

import pathlib
import re
import ssl
import subprocess
import threading
import time

import pytest

from client import BrokenTransfer, Client
from clocks import ahead, needs_faketime
from exposition import families
from gateway import PATIENCE, PROGRAMS, eventually, free_port, settled
from origin import OK


def read(gateway):
    """All samples by name and labels."""
    found = families(gateway.ask("/metrics")[1])
    return {key: value for family in found.values() for key, value in family["samples"].items()}


def value(gateway, name, **labels):
    return read(gateway).get((name, tuple(sorted(labels.items()))))


def test_prometheus_can_read_the_metrics(run, make_origin):
    origin = make_origin()
    gateway = run(
        [
            {"domain": "app.test", "upstreams": [origin.url], "ssl_mode": "custom", "certificate": "web",
             "health_check": {"path": "/"}},
            {"domain": "*.wild.test", "respond": {"body": "hello"}},
        ],
        issuers={"lan": {"type": "local_ca"}}, certificates={"web": {"issuer": "lan", "domains": ["app.test"]}})
    with Client(gateway.http) as client:
        for host in ("app.test", "a.wild.test", "b.wild.test", "unknown.test"):
            client.get(host)
    eventually("the host's requests", lambda: value(gateway, "aegis_host_requests_total", host="app.test", **{"class": "2xx"}))
    eventually("the health", lambda: value(gateway, "aegis_upstream_healthy", upstream=origin.url))
    found = families(gateway.ask("/metrics")[1])
    assert len(found) > 40
    assert found["aegis_host_requests_total"]["type"] == "counter"
    # Counters also exist before anything was counted.
    empty = run([])
    assert found.keys() - families(empty.ask("/metrics")[1]).keys() <= {
        "aegis_upstream_healthy", "aegis_certificate_not_after_timestamp_seconds", "aegis_certificate_soonest_not_after_seconds",
        "aegis_certificate_next_renewal_timestamp_seconds"}


def test_requests_are_counted_by_host_and_class(run, make_origin):
    origin = make_origin()
    origin.answers["/missing"] = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
    gateway = run([
        {"domain": "app.test", "upstreams": [origin.url]},
        {"domain": "fixed.test", "respond": {"body": "hello"}},
        {"domain": "dead.test", "upstreams": [f"http://127.0.0.1:{free_port()}"]},
    ])
    with Client(gateway.http) as client:
        for _ in range(7):
            client.get()
        for _ in range(3):
            client.get("app.test", "/missing")
        client.get("FIXED.test")
        client.get("dead.test")
        client.get("unknown.test")

    def counted():
        return {(dict(labels)["host"], dict(labels)["class"]): count for (name, labels), count in read(gateway).items()
                if name == "aegis_host_requests_total"}

    want = {("app.test", "2xx"): 7, ("app.test", "4xx"): 3, ("fixed.test", "2xx"): 1, ("dead.test", "5xx"): 1}
    eventually("the counts", lambda: counted() == want)
    # A changed host's counters continue, and a removed host's keep their values.
    gateway.host("fixed.test")["respond"]["body"] = "other"
    gateway.config["hosts"].pop()
    gateway.reload()
    with Client(gateway.http) as client:
        client.get("fixed.test")
    eventually("one more", lambda: counted() == want | {("fixed.test", "2xx"): 2})


def test_of_many_hosts_the_busiest_have_their_own_values(run):
    gateway = run([{"domain": f"h{i}.test", "respond": {"body": "a"}} for i in range(300)], gateway={"workers": 1})
    with Client(gateway.http) as client:
        for i in range(300):
            client.get(f"h{i}.test")
        for _ in range(20):
            client.get("h299.test")

    def counted():
        return {dict(labels)["host"]: count for (name, labels), count in read(gateway).items()
                if name == "aegis_host_requests_total"}

    eventually("all requests", lambda: counted().get("h299.test") == 21)
    assert len(counted()) == 101 and counted()["(others)"] >= 200


def test_responses_are_timed_by_upstream(run, make_origin):
    quick, slow = make_origin(), make_origin()
    gateway = run([
        {"domain": "quick.test", "upstreams": [quick.url]}, {"domain": "slow.test", "upstreams": [slow.url]}])
    release, took = threading.Event(), []

    def answer(connection, _):
        began = time.monotonic()
        release.wait(PATIENCE)
        took.append(time.monotonic() - began)
        connection.send(OK)

    slow.answers["/"] = answer
    with Client(gateway.http) as waiting, Client(gateway.http) as client:
        waiting.send("GET / HTTP/1.1\r\nHost: slow.test\r\n\r\n")
        for _ in range(5):
            assert client.get("quick.test").status == 200
        eventually("the quick responses", lambda: value(gateway, "aegis_upstream_responses_total", upstream=quick.url) == 5)
        release.set()
        assert waiting.response().status == 200
    eventually("the slow response", lambda: value(gateway, "aegis_upstream_responses_total", upstream=slow.url) == 1)
    seconds = {url: value(gateway, "aegis_upstream_response_seconds_total", upstream=url) for url in (quick.url, slow.url)}
    assert seconds[slow.url] > took[0] * 0.99 and seconds[quick.url] > 0
    assert value(gateway, "aegis_upstream_response_duration_seconds_count") == 6
    assert value(gateway, "aegis_upstream_response_duration_seconds_sum") == pytest.approx(sum(seconds.values()), abs=1e-3)


def test_failures_of_upstreams_are_counted_by_reason(run, make_origin, names):
    origin = make_origin()
    never = threading.Event()
    origin.answers = {
        "/closed": lambda connection, request: False,
        "/cut": lambda connection, request: connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok") or False,
        "/malformed": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "/silent": lambda connection, request: never.wait(PATIENCE) and False,
    }
    gateway = run([
        {"domain": "app.test", "upstreams": [origin.url], "timeouts": {"read": "300ms"}},
        {"domain": "dead.test", "upstreams": [f"http://127.0.0.1:{free_port()}"]},
        {"domain": "nowhere.test", "upstreams": ["http://nowhere.test"]},
    ])
    # The upstream's certificate is of a CA that the system does not trust.
    gateway.config["hosts"].append({"domain": "tls.test", "upstreams": [f"https://127.0.0.1:{gateway.https}"]})
    gateway.reload()
    for host, path, status in [
            ("app.test", "/closed", 502), ("app.test", "/malformed", 502), ("app.test", "/silent", 504),
            ("dead.test", "/", 502), ("tls.test", "/", 502), ("nowhere.test", "/", 502)]:
        with Client(gateway.http) as client:
            assert client.get(host, path).status == status
    with Client(gateway.http) as client, pytest.raises(BrokenTransfer):
        client.get("app.test", "/cut")
    never.set()
    found = families(gateway.ask("/metrics")[1])["aegis_upstream_failures_total"]["samples"]
    assert {dict(labels)["reason"]: count for (_, labels), count in found.items()} == {
        "closed": 2, "malformed": 1, "timeout": 1, "connect": 1, "tls": 1, "resolve": 1}


def test_failures_of_handshakes_are_counted_by_reason(run):
    gateway = run([{"domain": "app.test", "respond": {"body": "hello"}}])
    with Client(gateway.https) as client:
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert client.response().status == 400
    with Client(gateway.https) as client:
        client.send(b"\x16\x03\x01\x00\x05hello")
        client.to_end()
    contexts = [ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) for _ in range(3)]
    # The first client trusts no CA, and sends an alert that says so.
    for context in contexts[1:]:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
    contexts[1].minimum_version = contexts[1].maximum_version = ssl.TLSVersion.TLSv1_1
    contexts[2].maximum_version = ssl.TLSVersion.TLSv1_2
    contexts[2].set_ciphers("AES128-SHA")
    for context in contexts:
        with pytest.raises(ssl.SSLError):
            Client(gateway.https, context, "app.test").get()

    def counted():
        found = families(gateway.ask("/metrics")[1])["aegis_tls_handshake_failures_total"]["samples"]
        return {dict(labels)["reason"]: count for (_, labels), count in found.items()}

    eventually("the failures", lambda: counted() == {
        "plain_http": 1, "malformed": 1, "client_alert": 1, "version": 1, "algorithms": 1, "no_certificate": 0,
        "no_trust": 0, "client_certificate": 0})
    assert value(gateway, "aegis_tls_handshakes_total", result="failed", version="") == 5


def test_the_metrics_have_the_resources_of_the_process(run):
    gateway = run([{"domain": "app.test", "respond": {"body": "hello"}}])
    before = read(gateway)

    def usage(name):
        return value(gateway, f"process_{name}")

    assert abs(usage("start_time_seconds") - time.time()) < 600
    assert 4 << 20 < usage("resident_memory_bytes") < usage("virtual_memory_bytes")
    limits = next(line for line in open(f"/proc/{gateway.process.pid}/limits") if line.startswith("Max open files"))
    assert usage("max_fds") == int(limits.split()[3])
    assert usage("cpu_seconds_total") >= before["process_cpu_seconds_total", ()] > 0
    # The control thread opens and closes some descriptors in its first moments.
    at_rest = settled("the descriptors", lambda: usage("open_fds"))
    clients = [Client(gateway.http) for _ in range(20)]
    eventually("their descriptors", lambda: usage("open_fds") >= at_rest + 20)
    for client in clients:
        client.close()
    eventually("their end", lambda: usage("open_fds") <= at_rest)


def test_programs_metrics_and_changelog_agree_on_the_version(run):
    gateway = run([])
    changes = (pathlib.Path(__file__).parents[2] / "CHANGELOG.md").read_text()
    version = re.search(r"^## (\d+\.\d+\.\d+)", changes, re.MULTILINE)[1]
    for program in "aegis-gateway", "aegis-apply":
        told = subprocess.run([PROGRAMS / program, "--version"], capture_output=True, text=True, check=True).stdout
        assert told == f"{program} {version}\n"
    assert value(gateway, "aegis_build_info", version=version) == 1


def test_generation_and_revision_are_those_in_force(run):
    gateway = run([{"domain": "app.test", "respond": {"body": "hello"}}])
    assert value(gateway, "aegis_state_generation") == 1
    revision = value(gateway, "aegis_state_revision")
    gateway.host("app.test")["respond"]["body"] = "other"
    gateway.reload()
    assert value(gateway, "aegis_state_generation") == 2
    assert value(gateway, "aegis_state_revision") > revision


@needs_faketime
def test_due_renewals_are_counted(run):
    gateway = run([], issuers={"lan": {"type": "local_ca"}}, certificates={
        "web": {"issuer": "lan", "domains": ["app.test"]}, "api": {"issuer": "lan", "domains": ["api.test"]}})
    # The renewal is due in the future, but before the certificates expire.
    due = eventually("the next renewal", lambda: value(gateway, "aegis_certificate_next_renewal_timestamp_seconds"))
    assert time.time() < due < value(gateway, "aegis_certificate_soonest_not_after_seconds")
    assert value(gateway, "aegis_certificates_renewal_overdue") == 0
    # A year later the certificates have expired, and the CA's key is gone.
    gateway.stop()
    gateway.root.with_suffix(".key").unlink()
    with ahead(400) as wrapper:
        gateway.start(*wrapper)
        eventually("both are overdue", lambda: value(gateway, "aegis_certificates_renewal_overdue") == 2)
        eventually("both have failed", lambda: value(gateway, "aegis_certificate_issuances_total", result="failed") == 2)
        assert value(gateway, "aegis_certificate_issuances_total", result="ok") == 0
        gateway.stop()
