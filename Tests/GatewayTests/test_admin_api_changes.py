"""Changes by the admin API: each is in force when its answer comes, is made once, and follows the rules of the file. No
answer contains a key."""

import concurrent.futures
import contextlib
import json
import sqlite3
import subprocess
import threading
import time

import pytest
from cryptography.hazmat.primitives import serialization
from ruamel.yaml import YAML

from admin_api import ask, command, make_token
from authority import Holder, pem
from client import Client, tls_context
from gateway import PATIENCE, PROGRAMS, eventually, free_port
from killed_changes import EACH_CALL, LONG, Change, kill_during

CANARY = "CANARY-93aa51"
SITE = {
    "issuers": {"lan": {"type": "local_ca"}},
    "certificates": {"site": {"issuer": "lan", "domains": ["app.test", "*.more.test"]}}}
FILE_HOST = {"domain": "app.test", "aliases": ["www.app.test"], "ssl_mode": "none", "respond": {"body": "file\n"}}

root = Holder("root", is_ca=True)


@pytest.fixture(scope="module")
def gateway(run_once):
    gateway = run_once([FILE_HOST], **SITE)
    gateway.writer = make_token(gateway, "writer", "--scope", "write")
    return gateway


@pytest.fixture
def own(run):
    gateway = run([FILE_HOST], **SITE)
    gateway.writer = make_token(gateway, "writer", "--scope", "write")
    return gateway


def post(gateway, what, send, *fields):
    return ask(gateway, f"/api/v1/{what}", gateway.writer, *fields, method="POST", send=send)


def change(gateway, what, send, *fields):
    return ask(gateway, f"/api/v1/{what}", gateway.writer, *fields, method="PATCH", send=send)


def delete(gateway, what, *fields):
    return ask(gateway, f"/api/v1/{what}", gateway.writer, *fields, method="DELETE")


def get(gateway, what):
    return ask(gateway, f"/api/v1/{what}", gateway.writer)


def served(gateway, name):
    """The body that a client gets from a host by plain HTTP, or the status if it is not 200."""
    with Client(gateway.http) as client:
        answer = client.get(name)
        return answer.body.decode() if answer.status == 200 else answer.status


def leaf(gateway, name):
    """The leaf that a host shows, in DER."""
    with Client(gateway.https, tls=tls_context(), name=name) as client:
        return client.socket.getpeercert(binary_form=True)


def pair(*names, **options):
    """A certificate and its key as they are sent."""
    holder = Holder(names[0], root, names=names, **options)
    return holder, {"cert_pem": pem(holder.certificate).decode(), "key_pem": holder.key_pem.decode()}


def der(holder):
    return holder.certificate.public_bytes(serialization.Encoding.DER)


def test_a_created_host_is_served_when_the_answer_arrives(gateway):
    for number in range(20):
        name = f"h{number}.test"
        made = post(gateway, "hosts", {"domain": name, "respond": {"body": "first\n"}})
        assert made.status == 201 and made.json == {"status": "created", "id": name}
        assert served(gateway, name) == "first\n"
        assert change(gateway, f"hosts/{name}", {"respond": {"body": "second\n"}}).status == 200
        assert served(gateway, name) == "second\n"
        assert change(gateway, f"hosts/{name}", {"aliases": [f"alias-{name}"]}).status == 200
        assert served(gateway, f"alias-{name}") == "second\n"
        assert change(gateway, f"hosts/{name}", {"enabled": False}).status == 200
        assert served(gateway, name) == 404
        gone = delete(gateway, f"hosts/{name}")
        assert gone.status == 204 and int(gone["Aegis-Revision"]) > int(made["Aegis-Revision"])
        assert get(gateway, f"hosts/{name}").problem == "not-found"


def test_a_stored_certificate_is_served_when_the_answer_arrives(gateway):
    first, sent = pair("tls.test", "*.tls.test")
    made = post(gateway, "certificates", {**sent, "domains": ["tls.test"]})
    assert made.status == 201 and made.json["status"] == "created"
    number = made.json["id"]
    host = {"domain": "tls.test", "ssl_mode": "custom", "ssl_cert_id": number, "hsts_enabled": True, "respond": {}}
    assert post(gateway, "hosts", host).status == 201
    assert leaf(gateway, "tls.test") == der(first)
    shown = get(gateway, f"certificates/{number}").json
    assert (shown["owner"], shown["source"], shown["hosts"]) == ("api", "custom", ["tls.test"])
    refused = delete(gateway, f"certificates/{number}")
    assert refused.problem == "in-use" and "tls.test" in refused.json["detail"]
    # Another certificate, sent with the host, replaces the first one and keeps its number.
    second, sent = pair("tls.test")
    assert change(gateway, "hosts/tls.test", {"ssl_cert_pem": sent["cert_pem"], "ssl_key_pem": sent["key_pem"]}).status == 200
    assert leaf(gateway, "tls.test") == der(second)
    assert get(gateway, "hosts/tls.test").json["ssl_cert_id"] == number
    assert delete(gateway, "hosts/tls.test").status == 204
    # Without a host it is served too, and says so.
    assert leaf(gateway, "tls.test") == der(second)
    assert get(gateway, f"certificates/{number}").json["served_names"] == ["tls.test"]
    assert delete(gateway, f"certificates/{number}").problem == "in-use"
    assert delete(gateway, f"certificates/{number}?force=true").status == 204
    assert leaf(gateway, "tls.test") != der(second)
    assert get(gateway, f"certificates/{number}").problem == "not-found"


def test_an_upload_that_clients_refuse_is_refused_or_has_warnings(gateway):
    def upload(holder, *above):
        return post(gateway, "certificates", {
            "cert_pem": pem(holder.certificate, *(one.certificate for one in above)).decode(), "key_pem": holder.key_pem.decode()})

    # A shorter life would be another reason for a warning.
    lasting = {"days": (-1, 90)}
    root = Holder("root", is_ca=True, **lasting)
    middle = Holder("middle", root, is_ca=True, **lasting)
    nameless = upload(Holder("x", root, **lasting))
    assert nameless.problem == "invalid" and nameless.json["errors"] == [
        {"pointer": "/cert_pem", "detail": "it is for no name (subject alternative name)"}]
    alone = upload(Holder("alone.test", middle, names=["alone.test"], **lasting))
    assert alone.status == 201 and any("intermediate" in warning for warning in alone.json["warnings"]), alone.body
    authority = upload(Holder("ca.test", root, is_ca=True, names=["ca.test"], **lasting))
    assert authority.status == 201 and any("of a CA" in warning for warning in authority.json["warnings"]), authority.body
    whole = upload(Holder("whole.test", middle, names=["whole.test"], **lasting), middle)
    assert whole.status == 201 and whole.json["warnings"] == [], whole.body
    again = upload(Holder("whole.test", middle, names=["whole.test"], **lasting), middle)
    assert again.status == 201
    for made in alone, authority, whole, again:
        number = made.json["id"]
        assert get(gateway, f"certificates/{number}")["ETag"] == made["ETag"]
        renewed = ask(gateway, f"/api/v1/certificates/{number}/renew", gateway.writer, method="POST")
        assert renewed.problem == "not-possible" and "upload or order another one" in renewed.json["detail"].lower()
        assert delete(gateway, f"certificates/{number}?force=true").status == 204


def test_the_api_can_not_change_items_of_the_file(gateway):
    for answer in (
        change(gateway, "hosts/app.test", {"enabled": False}), delete(gateway, "hosts/app.test"),
        delete(gateway, "certificates/1"),
    ):
        assert answer.problem == "owned-by-file" and "generation 1" in answer.json["detail"]
    for name in ("app.test", "www.app.test", "WWW.App.Test"):
        taken = post(gateway, "hosts", {"domain": name, "respond": {}})
        assert taken.problem == "name-taken" and "which the file declares" in taken.json["errors"][0]["detail"]
    assert served(gateway, "app.test") == "file\n"


def test_items_of_the_file_and_of_the_api_coexist(own):
    holder, sent = pair("api.test", "b.test")
    number = post(own, "certificates", {**sent, "name": "mine"}).json["id"]
    host = {"domain": "api.test", "aliases": ["b.test"], "ssl_mode": "custom", "ssl_cert_id": number, "respond": {"body": "api\n"}}
    assert post(own, "hosts", host).status == 201
    own.config["hosts"].append({"domain": "new.test", "respond": {"body": "new\n"}})
    assert "host api.test" in own.apply().partition("left alone")[2]
    assert served(own, "api.test") == "api\n" and leaf(own, "api.test") == der(holder)
    before = get(own, "hosts").body
    # The errors name the owner of the host, and nothing changes.
    for clash in (
        {"domain": "b.test", "respond": {}}, {"domain": "x.test", "aliases": ["b.test"], "respond": {}},
        {"domain": "x.test", "aliases": ["api.test"], "respond": {}},
    ):
        own.config["hosts"].append(clash)
        (own.folder / "aegis.yaml").write_text(json.dumps(own.config, indent=1))
        for arguments, code in ((["--dry-run"], 3), ([], 65)):
            done = subprocess.run(
                [PROGRAMS / "aegis-apply", *arguments], cwd=own.folder, capture_output=True, text=True)
            assert done.returncode == code, done.stdout + done.stderr
            assert "claimed by host 'api.test', which the admin API owns" in done.stderr
        own.config["hosts"].pop()
    assert get(own, "hosts").body == before
    # The file's certificates and issuers that the API's items need are not deleted.
    assert change(own, "hosts/api.test", {"ssl_cert_id": 1}).problem == "invalid"
    assert post(own, "hosts", {"domain": "x.more.test", "ssl_mode": "custom", "ssl_cert_id": 1, "respond": {}}).status == 201
    own.config["certificates"], own.config["issuers"] = {}, {}
    own.apply()
    left = command(own, "--dry-run").partition("left alone")[2]
    assert "certificate site" in left and "issuer lan" in left


def test_items_of_the_api_become_the_files(own):
    holder, sent = pair("api.test")
    number = post(own, "certificates", {**sent, "name": "mine"}).json["id"]
    host = {
        "domain": "api.test", "ssl_mode": "custom", "ssl_cert_id": number, "hsts_enabled": True,
        "respond": {"body": "- a: \"b\"\n# c\u2028"}}
    assert post(own, "hosts", host).status == 201
    exported = YAML(typ="safe", pure=True).load(command(own, "export", "--with-keys", "own"))
    assert sorted(path.name for path in (own.folder / "own").iterdir()) == ["mine.key", "mine.pem"]
    for path in (own.folder / "own").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    refused = subprocess.run(
        [PROGRAMS / "aegis-apply", "export", "--with-keys", "own"], cwd=own.folder, capture_output=True, text=True)
    assert refused.returncode == 1 and "exists" in refused.stderr
    own.config["hosts"] += exported["hosts"]
    own.config["certificates"] = {**own.config["certificates"], **exported["certificates"]}
    (own.folder / "aegis.yaml").write_text(json.dumps(own.config, indent=1))
    plan = command(own, "--dry-run")
    assert "certificate mine: adopt" in plan and "host api.test: adopt" in plan and "Plan: 2 to adopt." in plan
    before = get(own, "hosts/api.test").json
    assert "2 adopted" in own.apply()
    after = get(own, "hosts/api.test").json
    assert after == {**before, "owner": "file"}
    assert get(own, f"certificates/{number}").json["owner"] == "file"
    assert get(own, f"certificates/{number}").json["auto_renew"] is False
    assert leaf(own, "api.test") == der(holder)
    assert "No changes" in own.apply()
    assert delete(own, "hosts/api.test").problem == "owned-by-file"
    # If the file has another setting, the plan shows this field too.
    assert post(own, "hosts", {"domain": "more.test", "respond": {"body": "x"}}).status == 201
    own.config["hosts"].append({"domain": "more.test", "respond": {"body": "y"}})
    (own.folder / "aegis.yaml").write_text(json.dumps(own.config, indent=1))
    plan = command(own, "--dry-run")
    assert "host more.test: adopt" in plan and "respond.body  x → y" in plan
    assert "1 adopted" in own.apply()
    eventually("the change is served", lambda: served(own, "more.test") == "y")
    # So it does if the file declares another source, and the apply issues the certificate.
    holder, sent = pair("own.test")
    assert post(own, "certificates", {**sent, "name": "own"}).status == 201
    own.config["certificates"]["own"] = {"issuer": "lan", "domains": ["own.test"]}
    (own.folder / "aegis.yaml").write_text(json.dumps(own.config, indent=1))
    plan = command(own, "--dry-run")
    assert "certificate own: adopt (the admin API owns it so far; it is issued)\n      issuer  " in plan, plan
    assert "(none) → lan\n" in plan and "Plan: 1 to adopt." in plan
    assert "1 adopted" in own.apply()
    eventually("the new certificate is served", lambda: leaf(own, "own.test") != der(holder))
    actions = [event["action"] for event in get(own, "events?item=certificate:own").json["items"]]
    assert actions.count("adopt") == 1 and "issue" not in actions
    assert "owns nothing" in subprocess.run(
        [PROGRAMS / "aegis-apply", "export"], cwd=own.folder, capture_output=True, text=True).stderr


def test_of_many_simultaneous_requests_one_gets_the_name(gateway):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(gateway, "hosts", {"domain": "race.test", "respond": {}}), range(8)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 7
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(
            lambda _: post(gateway, "hosts", {"domain": "same.test", "respond": {}}, "Idempotency-Key: once"), range(8)))
    assert {(answer.status, answer.body, answer["Aegis-Revision"]) for answer in answers} == {
        (201, answers[0].body, answers[0]["Aegis-Revision"])}
    for name in ("race.test", "same.test"):
        assert delete(gateway, f"hosts/{name}").status == 204


def test_a_change_with_an_outdated_etag_is_refused(gateway):
    assert post(gateway, "hosts", {"domain": "tag.test", "respond": {}}).status == 201
    tag = get(gateway, "hosts/tag.test")["ETag"]
    assert change(gateway, "hosts/tag.test", {"enabled": False}, f"If-Match: {tag}").status == 200
    stale = change(gateway, "hosts/tag.test", {"enabled": True}, f"If-Match: {tag}")
    assert (stale.status, stale.problem) == (412, "stale")
    assert delete(gateway, "hosts/tag.test", f"If-Match: {get(gateway, 'hosts/tag.test')['ETag']}").status == 204


def test_a_requested_renewal_happens_soon(own):
    def fingerprint():
        return get(own, "certificates/1").json["fingerprint"]

    before = fingerprint()
    accepted = ask(own, "/api/v1/certificates/1/renew", own.writer, method="POST")
    assert accepted.status == 202 and accepted.json == {"status": "accepted", "id": 1}
    eventually("it is renewed", lambda: fingerprint() != before, patience=60)
    actions = [event["action"] for event in get(own, "events?item=certificate:site").json["items"]]
    assert actions[-2:] == ["renew", "issue"]


def holding(gateway, seconds):
    """Gives the lock to an apply on another machine. Nobody can tell whether that apply still runs."""
    now = int(time.time())
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db", isolation_level=None)) as state:
        state.execute(
            "INSERT INTO leases VALUES ('apply', 'elsewhere another-boot 1 7 ops', ?, ?)", (now, now + seconds))


def test_a_change_waits_for_an_apply_and_readers_wait_for_no_change(own):
    holding(own, 3)
    assert post(own, "hosts", {"domain": "waits.test", "respond": {}}).status == 201
    holding(own, 30)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(post, own, "hosts", {"domain": f"w{number}.test", "respond": {}}) for number in range(5)]
        # All of them wait 10 s from their arrival, and not one after another.
        while not all(future.done() for future in waiting):
            assert get(own, "hosts").status == 200 and own.ask("/healthz")[0] == 200
        answers = [future.result() for future in waiting]
    assert [(answer.status, answer.problem, answer["Retry-After"]) for answer in answers] == [(503, "locked", "10")] * 5


def test_no_answer_and_no_log_has_a_key(own):
    holder, sent = pair("secret.test")
    _, other = pair("secret.test")
    lines = [line for text in (sent["key_pem"], other["key_pem"]) for line in text.splitlines() if "-----" not in line]
    told = [
        post(own, "certificates", {**sent, "key_pem": other["key_pem"]}),
        post(own, "certificates", {"cert_pem": sent["key_pem"], "key_pem": sent["key_pem"]}),
        post(own, "certificates", {**sent, "key_pem": CANARY + sent["key_pem"][40:]}),
        post(own, "certificates", {**sent, CANARY: sent["key_pem"]}),
        post(own, "certificates", {**sent, "name": sent["key_pem"]}),
        post(own, "hosts", {"domain": sent["key_pem"], "respond": {}}),
        post(own, "hosts", {"domain": "s.test", "respond": {}, "balance": sent["key_pem"]}),
        post(own, "hosts", {"domain": "s.test", "respond": {}, "upstream_tls": {"identity": sent["key_pem"]}}),
        post(own, "certificates", sent),
        post(own, "hosts", {"domain": "secret.test", "respond": {}, "ssl_mode": "custom", "ssl_cert_pem": sent["cert_pem"],
                            "ssl_key_pem": sent["key_pem"]}),
    ]
    assert [answer.status for answer in told] == [400] * 8 + [201, 409], [answer.body for answer in told]
    for what in ("hosts", "certificates", "events", "status", "certificates/2", "certificates/2/chain.pem", "openapi.json"):
        told.append(get(own, what))
    texts = [answer.body.decode() + str(answer.fields) for answer in told] + [own.log]
    for secret in (*lines, CANARY, own.writer):
        assert not any(secret in text for text in texts), secret
    command(own, "admin", "token", "list")
    for path in own.folder.rglob("*"):
        if path.is_file() and path.parent.name != "ca":
            assert not any(line.encode() in path.read_bytes() for line in lines), path


class ChangeOfName(Change):
    """A change of a host or certificate with the change's name."""

    def make_host(self):
        assert post(self.gateway, "hosts", {"domain": self.name, "respond": {"body": "old\n"}}).status == 201
        self.item = f"host:{self.name}"

    def make_certificate(self):
        made = post(self.gateway, "certificates", {**pair(self.name)[1], "name": self.name})
        assert made.status == 201
        self.item, self.number = f"certificate:{self.name}", made.json["id"]


class CreateHost(ChangeOfName):
    status, action = 201, "create"

    def request(self):
        self.item = f"host:{self.name}"
        return post(self.gateway, "hosts", {"domain": self.name, "respond": {"body": "new\n"}}, self.key)

    def holds(self):
        return served(self.gateway, self.name) == "new\n"


class CreateHostWithCertificate(ChangeOfName):
    status, action = 201, "create"

    def prepare(self):
        self.holder, sent = pair(self.name)
        self.send = {"domain": self.name, "respond": {}, "ssl_mode": "custom", "ssl_cert_pem": sent["cert_pem"],
                     "ssl_key_pem": sent["key_pem"]}
        self.item = f"host:{self.name}"

    def request(self):
        return post(self.gateway, "hosts", self.send, self.key)

    def holds(self):
        return leaf(self.gateway, self.name) == der(self.holder)


class StoreCertificate(ChangeOfName):
    status, action = 201, "create"

    def prepare(self):
        self.send = {**pair(self.name)[1], "name": self.name}
        self.item = f"certificate:{self.name}"

    def request(self):
        return post(self.gateway, "certificates", self.send, self.key)

    def holds(self):
        return [one for one in get(self.gateway, "certificates?limit=1000").json["items"] if one["name"] == self.name]


class ChangeHost(ChangeOfName):
    status, action = 200, "change"
    prepare = ChangeOfName.make_host

    def request(self):
        return change(self.gateway, f"hosts/{self.name}", {"respond": {"body": "new\n"}}, self.key)

    def holds(self):
        return served(self.gateway, self.name) == "new\n"


class DeleteHost(ChangeOfName):
    status, action = 204, "delete"
    prepare = ChangeOfName.make_host

    def request(self):
        return delete(self.gateway, f"hosts/{self.name}", self.key)

    def holds(self):
        return served(self.gateway, self.name) == 404


class DeleteCertificate(ChangeOfName):
    status, action = 204, "delete"
    prepare = ChangeOfName.make_certificate

    def request(self):
        return delete(self.gateway, f"certificates/{self.number}?force=true", self.key)

    def holds(self):
        return get(self.gateway, f"certificates/{self.number}").status == 404


class Renew(Change):
    status, action, shows = 202, "renew", False

    def prepare(self):
        self.item = "certificate:site"

    def request(self):
        return post(self.gateway, "certificates/1/renew", {}, self.key)

    def holds(self):
        return get(self.gateway, "certificates/1").json["status"] == "valid"


class RenewHost(Renew):
    def prepare(self):
        super().prepare()
        self.host = self.name.replace(".", ".more.")
        host = {"domain": self.host, "ssl_mode": "custom", "ssl_cert_id": 1, "respond": {}}
        assert post(self.gateway, "hosts", host).status == 201

    def request(self):
        return post(self.gateway, f"hosts/{self.host}/renew", {}, self.key)


class RenewNewHost(Change):
    """The request for a certificate that was never obtained. Its CA does not answer."""
    status, action, shows = 202, "renew", False

    def prepare(self):
        if "letsencrypt" not in self.gateway.config["issuers"]:
            self.gateway.config["issuers"] = {
                **SITE["issuers"], "letsencrypt": {"type": "acme", "directory": f"https://127.0.0.1:{free_port()}/directory"}}
            self.gateway.apply()
        host = {"domain": self.name, "ssl_mode": "letsencrypt", "respond": {}}
        assert post(self.gateway, "hosts", host).status == 201
        self.item = f"certificate:{self.name}"

    def request(self):
        return post(self.gateway, f"hosts/{self.name}/renew", {}, self.key)

    def holds(self):
        return get(self.gateway, f"hosts/{self.name}").json["ssl_mode"] == "letsencrypt"


CHANGES = [
    CreateHost, CreateHostWithCertificate, StoreCertificate, ChangeHost, DeleteHost, DeleteCertificate, Renew, RenewHost,
    RenewNewHost]


@EACH_CALL
@pytest.mark.parametrize("kind", CHANGES, ids=lambda kind: kind.__name__)
def test_a_gateway_killed_during_a_change_recovers(own, kind, call, every):
    kill_during(own, kind, call, every)


def test_applies_and_changes_at_once_lose_nothing(own, figures):
    """Applies and changes of the API at the same time: each change of the API is there or was refused, and nothing changes its
    owner."""
    rounds = 1000 if LONG else 25
    stop = threading.Event()
    applied, late, faults = [], [], []

    def apply():
        while not stop.is_set():
            number = len(applied)
            own.config["hosts"] = [FILE_HOST] + [
                {"domain": f"f{index}.test", "respond": {"body": f"{number}\n"}} for index in range(number % 5 + 1)]
            done = own.run_apply()
            if "another apply is running" in done.stderr:
                late.append(number)
                continue
            if done.returncode != 0:
                faults.append(done.stdout + done.stderr)
            applied.append(own.config["hosts"])

    thread = threading.Thread(target=apply)
    thread.start()
    kept, made, refused = {}, 0, 0
    try:
        number = 0
        while made < rounds or len(applied) < rounds:
            name, body = f"a{number % 40}.test", f"{number}\n"
            number += 1
            if name in kept and number % 3 == 0:
                answer, then = delete(own, f"hosts/{name}"), None
            elif name in kept:
                answer, then = change(own, f"hosts/{name}", {"respond": {"body": body}}), body
            else:
                answer, then = post(own, "hosts", {"domain": name, "respond": {"body": body}}), body
            if answer.status == 503:
                refused += 1
                continue
            assert answer.status in (200, 201, 204), answer.body
            made += 1
            kept.pop(name, None)
            if then:
                kept[name] = then
    finally:
        stop.set()
        thread.join(PATIENCE * 6)
    assert faults == []
    hosts = {item["id"]: item for item in get(own, "hosts?limit=1000").json["items"]}
    assert {name for name, item in hosts.items() if item["owner"] == "api"} == kept.keys()
    assert {name for name, item in hosts.items() if item["owner"] == "file"} == {host["domain"] for host in applied[-1]}
    for name, body in kept.items():
        assert hosts[name]["respond"]["body"] == body and served(own, name) == body
    figures.append(f"{len(applied)} applies and {made} changes of the API at once: {refused} changes and {len(late)} applies had to try again")
