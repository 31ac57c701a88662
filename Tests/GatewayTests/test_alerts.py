"""Alerts for certificates and identities that expire: one for each threshold, from one gateway, with a webhook that may be
down."""

import contextlib
import json
import sqlite3
import threading
import time

import pytest

from authority import CLIENT, SERVER, Holder, pem
from clocks import needs_faketime
from gateway import Gateway, eventually, free_port
from origin import Origin
from reporting import parts
from test_identities import write

pytestmark = needs_faketime

DAY, TRY = 86_400, 1200
root = Holder("mesh", is_ca=True, days=(-1, 400))
DONE = b"HTTP/1.1 204 No Content\r\n\r\n"
BROKEN = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
TOKEN = "a-token-that-nobody-sees"


def own(folder, days, name="shop"):
    """A certificate of the operator that expires after `days` days, as the configuration names it."""
    folder.mkdir(exist_ok=True)
    holder = Holder(f"{name}.test", names=[f"{name}.test"], days=(-1, days), purposes=[SERVER])
    (folder / f"{name}.pem").write_bytes(pem(holder.certificate))
    (folder / f"{name}.key").touch(mode=0o600)
    (folder / f"{name}.key").write_bytes(holder.key_pem)
    return {name: {"source": "custom", "cert": {"file": f"{name}.pem"}, "key": {"file": f"{name}.key"}}}


@pytest.fixture
def webhook():
    hook = Origin()
    hook.answer = DONE
    yield hook
    hook.stop()


@pytest.fixture
def start(tmp_path, clock):
    """Starts a gateway that uses `clock`, in the folder that has the files of its certificates."""
    running = []

    def start(days=40, hosts=(), alerts=None, **sections):
        folder = tmp_path / "gateway"
        gateway = Gateway(folder, list(hosts), certificates=own(folder, days), **sections)
        if alerts is not None:
            gateway.config["alerts"] = alerts
        running.append(gateway)
        parts.append(gateway)
        gateway.apply()
        return gateway.start(*clock.wrapper)

    yield start
    for gateway in running:
        parts.remove(gateway)
        gateway.stop()


def bodies(hook):
    return [json.loads(request.body) for request in list(hook.requests)]


def told(gateway, kind="certificate", result="told"):
    return gateway.metric(f'aegis_expiry_alerts_total{{kind="{kind}",result="{result}"}}')


def rows(gateway, columns="threshold, tries, next_try_at, delivered_at", table="expiry_alerts"):
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state:
        return state.execute(f"SELECT {columns} FROM {table}").fetchall()


def await_delivery(gateway, webhook, count):
    """Waits until the webhook was sent so many alerts, and until the gateway has read its answers: a clock that moves before
    that makes a request time out, which is then sent again."""
    webhook.await_requests(count)
    eventually("all is delivered", lambda: all(row[3] for row in rows(gateway)))


def events(gateway):
    return [name for action, name in rows(gateway, "action, name", "events") if action == "alert"]


def looked_again(gateway, clock, at):
    """Moves the clock, and waits until the gateway must have checked what expires."""
    clock.set(at)
    for _ in range(2):
        before = heartbeat(gateway)
        eventually("a report of the gateway", lambda: heartbeat(gateway) > before)


def next_renewal(gateway):
    return gateway.metric("aegis_certificate_next_renewal_timestamp_seconds")


def heartbeat(gateway):
    return max(rows(gateway, "heartbeat_at", "nodes"), default=(0,))[0]


def test_each_threshold_causes_one_alert(start, clock, webhook, tmp_path):
    folder = tmp_path / "gateway"
    folder.mkdir()
    write(folder, Holder("node", root, names=["node.test"], days=(-1, 20), purposes=[CLIENT, SERVER]), (root,))
    gateway = start(
        40, alerts={"webhook": {"url": webhook.url + "/hook?key=query-secret", "token": TOKEN}}, node={"id": "edge-1"},
        identities={"mesh": {"source": "file", "cert_file": "node.crt", "key_file": "node.key", "ca_file": "ca.crt"}})
    # The identity has crossed one threshold.
    webhook.await_requests(1)
    body, = bodies(webhook)
    assert {key: body[key] for key in ("event", "kind", "name", "threshold", "node")} == {
        "event": "expiring", "kind": "identity", "name": "mesh", "threshold": "30d", "node": "edge-1"}
    assert body["not_after"].endswith("Z") and body["at"].endswith("Z") and len(body) == 7
    request = webhook.last
    assert (request.method, request.target) == ("POST", "/hook?key=query-secret")
    assert request["Authorization"] == f"Bearer {TOKEN}" and request["Content-Type"] == "application/json"
    gateway.await_log("warning: the identity 'mesh' expires on", "in 20 days", "threshold=30d")
    eventually("it is delivered", lambda: told(gateway, "identity", "delivered") == 1)
    assert told(gateway, "identity") == 1 and told(gateway) == 0
    # The certificate crosses the threshold ten days later, the identity crosses the next one after thirteen.
    clock.set(10 * DAY + 60)
    await_delivery(gateway, webhook, 2)
    clock.set(13 * DAY + 60)
    await_delivery(gateway, webhook, 3)
    assert [(body["name"], body["threshold"]) for body in bodies(webhook)[1:]] == [("shop", "30d"), ("mesh", "7d")]
    # A gateway that was down sends an alert for the nearest threshold only, and none that was sent before.
    gateway.stop()
    clock.set(39 * DAY + 3600)
    gateway.start(*clock.wrapper)
    await_delivery(gateway, webhook, 4)
    looked_again(gateway, clock, 39 * DAY + 7200)
    assert [(body["event"], body["name"], body["threshold"]) for body in bodies(webhook)[3:]] == [
        ("expiring", "shop", "1d")]
    assert events(gateway) == ["mesh", "shop", "mesh", "shop"]
    # No alert was sent for the identity: it had expired before the gateway started, and was never loaded.
    assert TOKEN not in gateway.log and "query-secret" not in gateway.log


def test_a_new_certificate_of_the_same_name_causes_alerts_again(start, clock, webhook, tmp_path):
    gateway = start(20, alerts={"webhook": {"url": webhook.url}})
    await_delivery(gateway, webhook, 1)
    own(gateway.folder, 5)
    gateway.reload()
    await_delivery(gateway, webhook, 2)
    own(gateway.folder, 100)
    gateway.reload()
    looked_again(gateway, clock, 120)
    assert [body["threshold"] for body in bodies(webhook)] == ["30d", "7d"]


def test_without_alerts_in_the_file_the_log_events_and_metrics_have_them(start):
    gateway = start(6)
    gateway.await_log("the certificate 'shop' expires on", "in 6 days", "threshold=7d")
    eventually("the event", lambda: events(gateway) == ["shop"])
    assert told(gateway) == 1 and told(gateway, result="failed") == 0
    # A webhook that is added later is called for the next threshold.
    assert rows(gateway) == [(7 * DAY, 0, None, None)]


def test_an_expired_certificate_causes_an_alert(start, clock, webhook):
    gateway = start(2, alerts={"expiry": ["1h"], "webhook": {"url": webhook.url}})
    looked_again(gateway, clock, 60)
    assert webhook.requests == []
    gateway.stop()
    clock.set(3 * DAY)
    gateway.start(*clock.wrapper)
    webhook.await_requests(1)
    assert [(body["event"], body["threshold"]) for body in bodies(webhook)] == [("expired", "expired")]
    gateway.await_log("the certificate 'shop' expired on")


def test_a_webhook_that_fails_at_first_gets_the_alert_once(start, clock):
    port = free_port()
    gateway = start(20, alerts={"webhook": {"url": f"http://127.0.0.1:{port}/"}})
    gateway.await_log("warning: the webhook for alerts did not accept the alert about the certificate 'shop'", "next try is in 20 minutes")
    hook = Origin(at=("127.0.0.1", port))
    try:
        hook.answer = BROKEN
        clock.set(TRY + 60)
        hook.await_requests(1)
        gateway.await_log("it answered with status 500")
        hook.answer = DONE
        clock.set(2 * TRY + 180)
        await_delivery(gateway, hook, 2)
        looked_again(gateway, clock, DAY)
        assert len(hook.requests) == 2 and told(gateway) == 1 and events(gateway) == ["shop"]
        (threshold, tries, next_try, delivered), = rows(gateway)
        assert (threshold, tries, next_try) == (30 * DAY, 3, None) and delivered
    finally:
        hook.stop()


def test_after_three_failed_tries_the_next_threshold_is_sent(start, clock, webhook):
    webhook.answer = BROKEN
    gateway = start(20, alerts={"webhook": {"url": webhook.url}})
    for number in range(1, 4):
        webhook.await_requests(number)
        eventually("the try is over", lambda: gateway.log.count("it answered with status 500") == number)
        clock.set(number * (TRY + 60))
    gateway.await_log("error: the webhook for alerts did not accept the alert about the certificate 'shop' in 3 tries")
    assert told(gateway, result="failed") == 1
    looked_again(gateway, clock, DAY)
    assert len(webhook.requests) == 3
    webhook.answer = DONE
    clock.set(13 * DAY + 60)
    webhook.await_requests(4)
    assert [body["threshold"] for body in bodies(webhook)] == ["30d", "30d", "30d", "7d"]
    eventually("it is delivered", lambda: told(gateway, result="delivered") == 1)


def test_a_slow_webhook_delays_nothing(start, clock, webhook):
    silent = threading.Event()

    def wait(connection, request):
        silent.wait()
        return False

    webhook.answer = wait
    gateway = start(
        20, hosts=[{"domain": "app.test", "respond": {"status": 200, "body": "hello"}}],
        alerts={"webhook": {"url": webhook.url}})
    webhook.await_requests(1)
    # The gateway puts changes in force meanwhile.
    gateway.config["hosts"].append({"domain": "other.test", "respond": {"status": 200, "body": "hello"}})
    gateway.reload()
    webhook.answer = DONE
    clock.set(TRY + 60)
    gateway.await_log("the webhook for alerts did not accept the alert about the certificate 'shop'", "in time")
    clock.set(TRY + 240)
    eventually("it is delivered", lambda: told(gateway, result="delivered") == 1)
    assert len(webhook.requests) == 2
    silent.set()


def test_an_endless_answer_of_the_webhook_is_cut_off(start, webhook):
    webhook.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + bytes(1 << 20)
    gateway = start(20, alerts={"webhook": {"url": webhook.url}})
    gateway.await_log("the webhook for alerts did not accept the alert about the certificate 'shop'")


def test_a_webhook_over_https_is_verified_by_its_ca_file(start, clock, tmp_path):
    settings = Holder("hook", root, names=["127.0.0.1"], purposes=[SERVER]).server(tmp_path / "hook.pem")
    hook = Origin(tls=settings)
    hook.answer = DONE
    try:
        folder = tmp_path / "gateway"
        folder.mkdir()
        (folder / "hook-ca.pem").write_bytes(pem(Holder("other", is_ca=True).certificate))
        gateway = start(20, alerts={"webhook": {"url": hook.url, "ca_file": "hook-ca.pem", "token": {"file": "token"}}})
        gateway.await_log("the webhook for alerts did not accept the alert", "cannot read 'token'")
        (folder / "token").write_text(TOKEN + "\n")
        clock.set(TRY + 60)
        gateway.await_log("the webhook for alerts did not accept the alert", "TLS verification failed")
        assert hook.requests == []
        (folder / "hook-ca.pem").write_bytes(pem(root.certificate))
        clock.set(2 * TRY + 180)
        hook.await_requests(1)
        assert hook.last["Authorization"] == f"Bearer {TOKEN}"
        eventually("it is delivered", lambda: told(gateway, result="delivered") == 1)
        assert TOKEN not in gateway.log
    finally:
        hook.stop()


def test_one_of_several_gateways_sends_the_alert(start, clock, webhook):
    """Three gateways share one state. After each of the first alerts one of them is killed."""
    gateway = start(20, alerts={"expiry": ["30d", "10d", "5d", "1d"], "webhook": {"url": webhook.url}})
    others = [Gateway(gateway.folder, []) for _ in range(2)]
    for number, other in enumerate(others):
        other.config, other.admin = gateway.config, gateway.admin
        other.log_path = gateway.folder / f"gateway{number}.log"
        other.launch(wrapper=clock.wrapper)
        other.await_log("generation 1 is in force")
    everyone = [gateway, *others]
    await_delivery(gateway, webhook, 1)
    try:
        for number, days in enumerate((10, 15, 19)):
            clock.set(days * DAY + 60)
            await_delivery(gateway, webhook, number + 2)
            if number < 2:
                others[number].process.kill()
                others[number].process.wait()
        looked_again(gateway, clock, 19 * DAY + 600)
        assert [body["threshold"] for body in bodies(webhook)] == ["30d", "10d", "5d", "1d"]
        assert sum(one.log.count("the certificate 'shop' expires on") for one in everyone) == 4
        assert events(gateway) == ["shop"] * 4
    finally:
        for other in others:
            if other.process.poll() is None:
                other.process.kill()
                other.process.wait()


def test_an_overdue_renewal_causes_an_alert(start, clock, webhook, tmp_path):
    gateway = start(
        900, alerts={"expiry": ["3650d"], "webhook": {"url": webhook.url}}, issuers={"lan": {"type": "local_ca"}})
    # For a certificate that the gateway renews, the days left cause no alert.
    gateway.config["certificates"]["web"] = {"issuer": "lan", "domains": ["app.test"]}
    gateway.reload()
    await_delivery(gateway, webhook, 1)
    looked_again(gateway, clock, 120)
    assert [body["name"] for body in bodies(webhook)] == ["shop"]
    # A renewal in time causes no alert.
    due = next_renewal(gateway)
    clock.set(int(due - time.time()) + 600)
    gateway.await_log("the certificate 'web' is there")
    looked_again(gateway, clock, int(due - time.time()) + DAY)
    assert next_renewal(gateway) > due
    assert [body["name"] for body in bodies(webhook)] == ["shop"]
    due = next_renewal(gateway)
    # The running gateway has the CA's key in memory, so it is stopped before the key is deleted.
    gateway.stop()
    gateway.root.with_suffix(".key").unlink()
    clock.set(int(due - time.time()) + 600)
    gateway.start(*clock.wrapper)
    gateway.await_log("the certificate 'web' can't be obtained")
    looked_again(gateway, clock, int(due - time.time()) + 7200)
    assert len(webhook.requests) == 1
    clock.set(int(due - time.time()) + DAY + 7200)
    webhook.await_requests(2)
    assert bodies(webhook)[1]["event"] == bodies(webhook)[1]["threshold"] == "overdue"
    gateway.await_log("the certificate 'web' should have been renewed, and was not: it expires on")
