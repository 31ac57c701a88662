"""Orders and revocations by the admin API: at Cloudflare and at an ACME CA, once each, wherever the gateway is killed."""

import contextlib
import os

import pytest

from admin_api import ask, make_token
from client import BrokenTransfer, Client, tls_context
from cloudflare import TOKEN, ZONE, ends_with, lose
from gateway import Gateway, eventually
from hosts import host, nothing_is_left, rows
from killed_changes import EACH_CALL, Change, kill_during
from reporting import parts

NAMES = ["app.example.test", "*.example.test"]
ORIGIN = {"api_token": TOKEN, "hostnames": NAMES, "zone_id": ZONE}
EDGE = {"api_token": TOKEN, "hostnames": ["example.test", "*.example.test"], "zone_id": ZONE}


@pytest.fixture
def gateway(tmp_path, cloudflare):
    gateway = Gateway(tmp_path / "gateway", [host("file.test", ssl_mode="none")])
    gateway.config["gateway"]["admin"] = {"listen": f"127.0.0.1:{gateway.admin}", "cloudflare": cloudflare.place}
    parts.append(gateway)
    gateway.apply()
    gateway.start()
    gateway.writer = make_token(gateway, "writer", "--scope", "write")
    yield gateway
    parts.remove(gateway)
    gateway.stop()


def post(gateway, path, send, *fields):
    return ask(gateway, f"/api/v1/{path}", gateway.writer, *fields, method="POST", send=send)


def get(gateway, path):
    return ask(gateway, f"/api/v1/{path}", gateway.writer)


def order(gateway, kind, send, *fields):
    return post(gateway, f"certificates/cloudflare-{kind}", send, *fields)


def places(gateway):
    """All that anybody may read of a gateway, and its state."""
    yield gateway.log
    yield gateway.ask("/metrics")[1]
    for path in ("events", "certificates", "status", "snapshot", "renewals"):
        yield get(gateway, path).body.decode()
    for path in gateway.folder.glob("state.db*"):
        yield path.read_bytes().decode("latin-1")


def test_an_origin_certificate_is_ordered_and_served(gateway, cloudflare):
    made = order(gateway, "origin", {**ORIGIN, "requested_validity": 90})
    assert made.status == 201, made.body
    [number] = cloudflare.certificates
    assert made.json["status"] == "created" and made.json["cloudflare_id"] == number
    assert made.json["requested_zone"] == ZONE and made.json["expires_on"].endswith("Z")
    assert made["Location"] == f"/api/v1/certificates/{made.json['id']}"
    one = get(gateway, f"certificates/{made.json['id']}").json
    assert (one["source"], one["owner"], one["domains"], one["auto_renew"]) == ("cloudflare_origin", "api", NAMES, False)
    assert one["expires_at"] == made.json["expires_on"]
    served = {"domain": "app.example.test", "ssl_mode": "custom", "ssl_cert_id": made.json["id"], "respond": {"body": "app"}}
    assert post(gateway, "hosts", served).status == 201
    with Client(gateway.https, tls_context(cloudflare.origin_root), "app.example.test") as client:
        assert client.get("app.example.test").body == b"app"
    assert cloudflare.certificates[number]["request_type"] == "origin-rsa"
    # The same order again would be another certificate, which needs another name.
    taken = order(gateway, "origin", {**ORIGIN, "requested_validity": 90})
    assert (taken.status, taken.problem) == (409, "name-taken")
    again = order(gateway, "origin", {**ORIGIN, "requested_validity": 90, "name": "second", "request_type": "origin-ecc"})
    assert again.status == 201 and get(gateway, f"certificates/{again.json['id']}").json["name"] == "second"
    assert len(cloudflare.certificates) == 2
    assert ask(gateway, f"/api/v1/certificates/{again.json['id']}", gateway.writer, method="DELETE").status == 204
    for text in places(gateway):
        assert TOKEN not in text


def test_an_origin_ca_key_is_taken_too(gateway, cloudflare):
    cloudflare.tokens.clear()
    cloudflare.service_keys.add("v1.0-old-key")
    refused = order(gateway, "origin", ORIGIN)
    assert refused.problem == "not-possible" and "Authentication error" in refused.json["detail"]
    assert TOKEN not in refused.body.decode()
    made = order(
        gateway, "origin", {"auth_method": "origin_ca_key", "origin_ca_key": "v1.0-old-key", "hostnames": NAMES})
    assert made.status == 201 and made.json["requested_zone"] is None


@pytest.mark.parametrize("send, pointer", [
    ({"hostnames": NAMES}, "/api_token"), ({"api_token": TOKEN}, "/hostnames"), ({"api_token": TOKEN, "hostnames": []}, "/hostnames"),
    ({**ORIGIN, "hostnames": ["a..b"]}, "/hostnames/0"), ({**ORIGIN, "zone_id": "x"}, "/zone_id"),
    ({**ORIGIN, "requested_validity": 8}, "/requested_validity"), ({**ORIGIN, "request_type": "x"}, "/request_type"),
    ({**ORIGIN, "name": "a b/c"}, "/name"), ({**ORIGIN, "api_token": {"file": "key"}}, "/api_token"),
    ({**ORIGIN, "api_token": {"env": "HOME"}}, "/api_token"), ({**ORIGIN, "base_url": "https://evil.test"}, "/base_url"),
    ({**ORIGIN, "hostname": NAMES}, "/hostname"), ([], ""), ({**ORIGIN, "auth_method": "origin_ca_key"}, "/origin_ca_key"),
])
def test_a_faulty_origin_order_is_refused(gateway, cloudflare, send, pointer):
    refused = order(gateway, "origin", send)
    assert (refused.status, refused.problem) == (400, "invalid"), refused.body
    assert pointer in [error["pointer"] for error in refused.json["errors"]], refused.body
    assert cloudflare.calls == [] and TOKEN not in refused.body.decode()


@pytest.mark.parametrize("send, pointer", [
    ({**EDGE, "validity_days": 8}, "/validity_days"), ({**EDGE, "hostnames": []}, "/hostnames"),
    ({**EDGE, "certificate_authority": "x"}, "/certificate_authority"), ({**EDGE, "zone_id": None}, "/zone_id"),
    ({**EDGE, "cloudflare_branding": "yes"}, "/cloudflare_branding"), ({**EDGE, "wait": "1h"}, "/wait"),
])
def test_a_faulty_edge_order_is_refused(gateway, cloudflare, send, pointer):
    refused = order(gateway, "edge", send)
    assert (refused.status, refused.problem) == (400, "invalid"), refused.body
    assert pointer in [error["pointer"] for error in refused.json["errors"]], refused.body
    assert cloudflare.calls == []


def test_an_edge_pack_is_ordered(gateway, cloudflare):
    made = order(gateway, "edge", {**EDGE, "validity_days": 90, "certificate_authority": "google"})
    assert made.status == 202, made.body
    [pack] = cloudflare.packs
    assert made.json["id"] == made.json["cloudflare_id"] == pack and made.json["status"]
    assert rows(gateway, "SELECT count(*) FROM edge_packs") == [(0,)]
    assert rows(gateway, "SELECT count(*) FROM leases WHERE name LIKE 'edge%'") == [(0,)]
    event = get(gateway, "events").json["items"][-1]
    assert (event["action"], event["item"], event["actor"]) == ("order", f"edge_certificate:{pack}", "token:writer")
    cloudflare.tokens.clear()
    assert order(gateway, "edge", EDGE).problem == "not-possible"
    for text in places(gateway):
        assert TOKEN not in text


@pytest.mark.parametrize("kind, send, part", [
    ("origin", ORIGIN, "/certificates"), ("edge", EDGE, "/certificate_packs/order")])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("key", [["Idempotency-Key: once"], []])
def test_a_gateway_that_is_killed_at_the_order_orders_nothing_twice(gateway, cloudflare, kind, send, part, after, key):
    cloudflare.on_call("POST", part, ends_with(lambda: gateway.process, after=after))
    with contextlib.suppress(OSError, BrokenTransfer):
        order(gateway, kind, send, *key)
    gateway.process.wait()
    # The order is the API's: an apply of the unchanged file has nothing to do with it.
    assert "No changes" in gateway.apply()
    gateway.start()
    again = order(gateway, kind, send, *key)
    assert again.status == (201 if kind == "origin" else 202), again.body
    assert len(cloudflare.certificates) + len(cloudflare.packs) == 1
    if key:
        repeated = order(gateway, kind, send, *key)
        assert (repeated.status, repeated.json["cloudflare_id"]) == (again.status, again.json["cloudflare_id"])
        assert len(cloudflare.certificates) + len(cloudflare.packs) == 1
    assert rows(gateway, "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM edge_packs)") == [(0, 0)]


class OrderOrigin(Change):
    status, action = 201, "order"

    def prepare(self):
        self.item = f"certificate:{self.name}"

    def request(self):
        return order(self.gateway, "origin", {**ORIGIN, "name": self.name}, self.key)

    def holds(self):
        return [one for one in get(self.gateway, "certificates?limit=1000").json["items"] if one["name"] == self.name]


class OrderEdge(Change):
    status, action, shows = 202, "order", False

    def is_about(self, event):
        return event["item"].startswith("edge_certificate:")

    def request(self):
        return order(self.gateway, "edge", EDGE, self.key)

    def lasting(self, answer):
        # The status is the present one.
        return answer.status, answer.json["id"]

    def holds(self):
        return rows(self.gateway, "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM edge_packs)") == [(0, 0)]


@EACH_CALL
@pytest.mark.parametrize("kind", [OrderOrigin, OrderEdge], ids=lambda kind: kind.__name__)
def test_a_gateway_that_is_killed_anywhere_in_an_order_orders_nothing_twice(gateway, cloudflare, kind, call, every):
    made = kill_during(gateway, kind, call, every)
    assert len(cloudflare.certificates) + len(cloudflare.packs) == made


def test_a_lost_answer_is_found_again(gateway, cloudflare):
    cloudflare.on_call("POST", "/certificates", lose)
    made = order(gateway, "origin", ORIGIN)
    assert made.status == 201 and len(cloudflare.certificates) == 1, made.body


# Revocations at a real ACME CA.


def revoke(gateway, number, reason="superseded", *fields):
    return post(gateway, f"certificates/{number}/revoke", {"reason": reason}, *fields)


@pytest.fixture
def acme(site):
    gateway, pebble = site([host("app.test")])
    gateway.apply()
    gateway.start()
    gateway.writer = make_token(gateway, "writer", "--scope", "write")
    return gateway


def test_a_certificate_is_revoked_and_replaced(acme):
    before = get(acme, "certificates/1").json
    done = revoke(acme, 1, "key-compromise", "Idempotency-Key: r1")
    assert (done.status, done.json) == (202, {"status": "accepted", "id": 1}), done.body
    # The answer to a repeated request is the same, although the gateway may have replaced the certificate by now.
    repeated = revoke(acme, 1, "key-compromise", "Idempotency-Key: r1")
    assert (repeated.status, repeated.body) == (202, done.body)
    eventually("it is replaced", lambda: get(acme, "certificates/1").json["fingerprint"] != before["fingerprint"], patience=90)
    events = [event for event in get(acme, "events?item=certificate:app.test").json["items"] if event["action"] == "revoke"]
    assert [event["actor"] for event in events] == ["token:writer"]
    for bad in ("because", None, 1):
        assert revoke(acme, 1, bad).json["errors"][0]["pointer"] == "/reason"
    assert revoke(acme, 99).problem == "not-found"


def test_what_no_ca_can_revoke_is_refused(gateway):
    gateway.config["issuers"] = {"lan": {"type": "local_ca"}}
    gateway.config["certificates"] = {"own": {"issuer": "lan", "domains": ["own.test"]}}
    gateway.reload()
    refused = revoke(gateway, 1)
    assert refused.problem == "not-possible" and "no CA that Aegis can ask" in refused.json["detail"]


def test_a_gateway_that_is_killed_at_the_revocation_revokes_it_when_asked_again(acme):
    before = get(acme, "certificates/1").json["fingerprint"]
    done = revoke(acme, 1, "superseded", "Idempotency-Key: k")
    assert done.status == 202
    os.kill(acme.process.pid, 9)
    acme.process.wait()
    acme.start()
    again = revoke(acme, 1, "superseded", "Idempotency-Key: k")
    assert (again.status, again.body) == (202, done.body)
    eventually("it is replaced", lambda: get(acme, "certificates/1").json["fingerprint"] != before, patience=90)


class Revoke(Change):
    """The revocation of a certificate, which the gateway then replaces."""
    status, action, shows = 202, "revoke", False
    item = "certificate:app.test"

    def prepare(self):
        def is_good():
            return get(self.gateway, "certificates/1").json["status"] == "valid" and nothing_is_left(self.gateway)

        eventually("a certificate to revoke", is_good, patience=90)

    def request(self):
        def answer():
            # While the gateway obtains another certificate, it revokes none.
            answer = revoke(self.gateway, 1, "superseded", self.key)
            return answer if answer.status != 409 else None

        return eventually("an answer", answer, patience=90)

    def holds(self):
        return get(self.gateway, "certificates/1").status == 200


@EACH_CALL
def test_a_gateway_that_is_killed_anywhere_in_a_revocation_revokes_it_when_asked_again(acme, call, every):
    kill_during(acme, Revoke, call, every)
