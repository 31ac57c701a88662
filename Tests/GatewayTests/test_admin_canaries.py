"""No answer, log, event, page or metric ever holds a secret: canaries are planted in each input that may have one."""

import json
import urllib.parse

import pytest

from admin_api import ask, command, make_token
from admin_page import own, send
from authority import Holder, pem

SITE = {"issuers": {"lan": {"type": "local_ca"}}, "certificates": {"site": {"issuer": "lan", "domains": ["app.test"]}}}
FILE_HOST = {"domain": "app.test", "ssl_mode": "custom", "certificate": "site", "respond": {"body": "file\n"}}
ZONE = "0123456789abcdef0123456789abcdef"
# As long as a token's secret, and in its alphabet.
CANARIES = (f"canary{number:03}".ljust(43, "Q") for number in range(1000))


class Stage:
    """A gateway, the canaries that were planted, and all that anybody could read of it."""

    def __init__(self, gateway):
        self.gateway, self.planted, self.seen = gateway, {}, []
        self.writer = make_token(gateway, "writer", "--scope", "write")

    def see(self, what, text):
        self.seen.append((what, text))

    def plant(self, what, prefix=""):
        self.planted[what] = prefix + next(CANARIES)
        return self.planted[what]

    def api(self, what, path, *fields, token=None, **options):
        answer = ask(self.gateway, path, token or self.writer, *fields, **options)
        self.see(f"answer to {what}", answer.body.decode("latin-1") + str(answer.fields))
        return answer

    def form(self, what, path, cookie, token, values):
        body = urllib.parse.urlencode({"_csrf": token, **values}).encode()
        answer = send(self.gateway, path, *own(self.gateway), cookie, body=body)
        self.see(f"page for {what}", answer.body.decode() + str(answer.fields))
        return answer


def encoded(key_text, canary):
    """A private key's text that has a canary in its middle."""
    lines = key_text.splitlines()
    return "\n".join([lines[0], canary, *lines[2:]]) + "\n"


@pytest.fixture(scope="module")
def stage(run_once):
    gateway = run_once([FILE_HOST], **SITE)
    gateway.config["gateway"]["admin"] = {
        "listen": f"127.0.0.1:{gateway.admin}", "cloudflare": {"base_url": "https://127.0.0.1:9/client/v4"}}
    gateway.reload()
    stage = Stage(gateway)
    holder = Holder("c.test", Holder("root", is_ca=True), names=["c.test"])
    chain, key = pem(holder.certificate).decode(), holder.key_pem.decode()
    other = Holder("other", holder, names=["c.test"]).key_pem.decode()
    for what, text in {"a good key": key, "another key": other}.items():
        # The last line is short.
        stage.planted[what], stage.planted[f"the end of {what}"] = text.splitlines()[1], text.splitlines()[-2]

    # Credentials.
    stage.api("a wrong token", "/api/v1/hosts", token=stage.plant("a wrong token", "aegis_"))
    stage.api("a token in the query", f"/api/v1/hosts?access_token={stage.plant('a token in the query')}")
    ask(gateway, "/api/v1/hosts", None, f"Cookie: __Host-aegis={stage.plant('a session')}")
    stage.see("page of a wrong session", ask(
        gateway, "/", None, f"Cookie: __Host-aegis={stage.planted['a session']}").body.decode())
    for method in ("GET", "POST"):
        answer = send(gateway, f"/login/{stage.plant('a link, by ' + method)}", *own(gateway), method=method)
        # The page of a link repeats the link as its form's address. Its reader has the link already, so that page is not
        # searched.
        stage.see(f"page of a link, by {method}", "" if method == "GET" else answer.body.decode())

    # Bodies.
    def post(what, path, body, *fields):
        return stage.api(what, path, *fields, method="POST", send=body)

    def keys(what, path, **others):
        names = ("ssl_cert_pem", "ssl_key_pem") if "hosts" in path else ("cert_pem", "key_pem")
        for place in names:
            canary = stage.plant(f"{place} of {what}")
            for value in (canary, encoded(key, canary), encoded(chain, canary), [canary], {"x": canary}):
                post(f"{place} of {what}", path, {names[0]: chain, names[1]: key, **others, place: value})

    keys("an upload", "/api/v1/certificates")
    keys("a host", "/api/v1/hosts", domain="c.test", respond={}, ssl_mode="custom")
    assert post("a good pair", "/api/v1/certificates", {"cert_pem": chain, "key_pem": key}).status == 201
    for kind, names in (("origin", ["api_token", "origin_ca_key"]), ("edge", ["api_token"])):
        path = f"/api/v1/certificates/cloudflare-{kind}"
        for name in names:
            canary = stage.plant(f"{name} of an {kind} order")
            method = {"auth_method": name} if kind == "origin" else {}
            for body in (
                {name: canary}, {name: [canary]}, {name: canary, "hostnames": ["a..b"], "zone_id": ZONE},
                {name: canary, "hostnames": ["c.test"], "zone_id": "x"},
                {name: canary, "hostnames": ["c.test"], "zone_id": ZONE, **method},
            ):
                assert post(f"{name} of an {kind} order", path, body).status in (400, 409)
    header = stage.plant("a header for upstreams")
    host = {"domain": "h.test", "upstreams": ["http://127.0.0.1:1"], "headers": {"request": {"set": {"authorization": header}}}}
    assert post("a header", "/api/v1/hosts", host).status == 201
    post("a faulty header", "/api/v1/hosts", {**host, "domain": "i.test", "headers": {"request": {"set": {"a b": header}}}})
    stage.api("a changed header", "/api/v1/hosts/h.test", "Content-Type: application/json", method="PATCH",
              body=json.dumps({"headers": {"request": {"set": {"x-key": header}}}}).encode())
    for what, text in (
        ("a plan", "version: 1\nissuers: {{cf: {{type: cloudflare_origin, api_token: {0}}}}}\nhosts: []\n"),
        ("a faulty plan", "version: 1\nissuers: {{cf: {{type: cloudflare_origin, api_token: [{0}]}}}}\n"),
        ("no plan", "version: 1\n  api_token: {0}\n - {0}"),
    ):
        stage.api(what, "/api/v1/plan", "Content-Type: application/yaml", method="POST",
                  body=text.format(stage.plant(what)).encode())
    # Whatever a member is for, a key or a token may be in it, or be its name.
    bodies = {
        "/api/v1/hosts": {"domain": "j.test", "respond": {}, "aliases": [], "upstreams": [], "ssl_mode": "none", "issuers": [],
                          "ssl_cert_id": 1, "tls_min_version": "1.2", "force_https": False, "hsts_max_age": 1},
        "/api/v1/certificates": {"cert_pem": chain, "key_pem": other, "name": "j", "domains": ["c.test"]},
        "/api/v1/certificates/cloudflare-origin": {
            "api_token": "x", "hostnames": ["c.test"], "zone_id": ZONE, "auth_method": "api_token", "request_type": "origin-rsa",
            "requested_validity": 90, "name": "n"},
        "/api/v1/certificates/cloudflare-edge": {
            "api_token": "x", "zone_id": ZONE, "hostnames": ["c.test"], "certificate_authority": "google",
            "validation_method": "txt", "validity_days": 90, "cloudflare_branding": False},
        "/api/v1/certificates/2/revoke": {"reason": "superseded"},
    }
    for path, body in bodies.items():
        for member in [*body, "unknown"]:
            canary = stage.plant(f"{member} of {path}")
            # The mark makes no name and no word of it that would be good.
            for value in (canary + "!", [canary + "!"], {canary + "!": 1}, encoded(key, canary), [encoded(key, canary)]):
                stage.api(f"{member} of {path}", path, method="POST", send={**body, member: value})
            stage.api(f"a name at {path}", path, method="POST", send={**body, canary: 1})
    raw = stage.plant("no JSON")
    stage.api("no JSON", "/api/v1/hosts", "Content-Type: application/json", method="POST", body=b'{"domain": ' + raw.encode())

    # Forms of the page.
    link = command(gateway, "admin", "login").strip().rpartition("/")[2]
    opened = send(gateway, f"/login/{link}", *own(gateway))
    stage.cookie = "Cookie: " + opened["Set-Cookie"].partition(";")[0]
    stage.planted["the link that was used"] = link
    page = ask(gateway, "/", None, stage.cookie).body.decode()
    token = page.partition('name="_csrf" value="')[2].partition('"')[0]
    # Whatever a field is for, a key or a token may have been pasted into it.
    forms = {
        "/add/host": {"domain": "f.test", "aliases": "", "upstreams": "http://127.0.0.1:1", "ssl_mode": "none", "issuers": "",
                      "ssl_cert_id": "", "tls_min_version": "1.2"},
        "/add/certificate": {"cert_pem": chain, "key_pem": other, "name": "n"},
        "/add/origin": {"hostnames": "c.test", "api_token": "x", "zone_id": ZONE, "name": "n", "request_type": "origin-rsa",
                        "requested_validity": "90"},
        "/add/edge": {"hostnames": "c.test", "api_token": "x", "zone_id": ZONE, "certificate_authority": "google",
                      "validation_method": "txt", "validity_days": "90"},
        "/hosts/h.test": {"aliases": "", "upstreams": "http://127.0.0.1:1", "ssl_mode": "none", "issuers": "",
                          "ssl_cert_id": "", "tls_min_version": "1.2"},
        "/certificates/2/revoke": {"reason": "superseded"},
    }
    for path, values in forms.items():
        for field in values:
            canary = stage.plant(f"{field} of {path}")
            for text in (canary + "!", encoded(key, canary), encoded(key, canary) + chain, chain + encoded(key, canary)):
                answer = stage.form(f"{field} of {path}", path, stage.cookie, token, {**values, field: text, "_tag": '"old"'})
                assert answer.status in (400, 403, 409, 412), (path, field, answer.status)
                assert b"BEGIN PRIVATE KEY" not in answer.body, (path, field)
    canary = stage.plant("the key of a form")
    for values in ({"cert_pem": chain, "key_pem": canary}, {"cert_pem": "x", "key_pem": encoded(key, canary)}):
        assert stage.form("an upload", "/add/certificate", stage.cookie, token, values).status == 400
    for kind in ("origin", "edge"):
        for names in ("", "c.test"):
            stage.form(f"an {kind} order", f"/add/{kind}", stage.cookie, token, {
                "api_token": stage.plant(f"the token of an {kind} form {names}"), "hostnames": names, "zone_id": ZONE})
    stage.form("another change token", "/add/host", stage.cookie, stage.plant("a change token"), {"domain": "x.test"})

    # What anybody may read afterwards.
    stage.api("a parameter", f"/api/v1/hosts?{stage.plant('the name of a parameter')}=1")
    for path in (
        "hosts", "hosts/h.test", "certificates", "certificates/1", "certificates/2", "certificates/2/chain.pem", "events?limit=1000",
        "status", "renewals", "nodes", "generations", "snapshot", "openapi.json",
    ):
        stage.see(path, ask(gateway, f"/api/v1/{path}", stage.writer).body.decode("latin-1"))
    for path in ("/", "/hosts/h.test", "/certificates/2", "/events", "/renewals", "/add/origin", "/nothing"):
        stage.see(f"the page {path}", ask(gateway, path, None, stage.cookie).body.decode())
    stage.see("metrics", gateway.ask("/metrics")[1])
    stage.see("the log", gateway.log)
    stage.see("the status", command(gateway, "status"))
    stage.planted["the writer's token"] = stage.writer
    stage.planted["the session"] = stage.cookie.partition("=")[2]
    stage.planted["the state's key"] = (gateway.folder / "key").read_text().strip()
    return stage


def test_no_secret_is_ever_shown(stage):
    assert len(stage.planted) > 20 and len(stage.seen) > 70
    found = [(what, place) for what, secret in stage.planted.items() for place, text in stage.seen if secret in text]
    assert found == []


def test_the_state_has_no_secret_in_plain_text(stage):
    """Only headers for upstreams, which the record of a host has, stand in the state's file."""
    for path in stage.gateway.folder.glob("state.db*"):
        content = path.read_bytes()
        shown = {what for what, secret in stage.planted.items() if secret.encode() in content}
        assert shown <= {"a header for upstreams"}, shown
