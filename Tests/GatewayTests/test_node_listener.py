"""The node listener: health and metrics over mutual TLS, only for peers that `node.allow` names."""

import json

import pytest

from admin_api import make_token
from authority import CLIENT, SERVER, Holder
from client import Client
from client_auth import connect, context
from gateway import eventually, free_port
from test_identities import files, node, other, replace_private, root, write

SCRAPER = "spiffe://mesh.test/prometheus"


def client(*names, issuer=root, **options):
    return Holder("client", issuer, **{"names": names, "purposes": [CLIENT], **options})


@pytest.fixture
def gateway(run, tmp_path):
    folder = tmp_path / "gateway0"
    folder.mkdir()
    write(folder, node(names=["127.0.0.1"]))
    port = free_port()
    gateway = run([], identities=files(), node={
        "id": "edge-1", "address": f"127.0.0.1:{port}", "identity": "mesh",
        "allow": [{"san": "*.ci.mesh.test", "scope": "write"}, {"san": SCRAPER, "scope": "read"}]})
    gateway.node, gateway.certs = port, folder
    gateway.await_log(f"listening at 127.0.0.1:{port}", "for=node")
    return gateway


def ask(gateway, settings, path="/healthz", request=None):
    """Sends a request to the node listener. Returns the status, or the error if there is no answer."""
    gateway.https, https = gateway.node, gateway.https
    try:
        with connect(gateway, settings, None) as connection:
            return connection.ask(request or f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").status
    except Exception as fault:
        return repr(fault)
    finally:
        gateway.https = https


def test_allowed_clients_can_use_each_endpoint(gateway, tmp_path):
    for names in (["a.ci.mesh.test"], [f"URI:{SCRAPER}"], ["elsewhere.test", f"URI:{SCRAPER}"]):
        settings = context(client(*names), folder=tmp_path)
        assert [ask(gateway, settings, path) for path in ("/healthz", "/readyz", "/metrics", "/metrics?x")] == 4 * [200]
        assert [ask(gateway, settings, path) for path in ("/", "/apis", "/healthz/", "/%68ealthz")] == 4 * [404]
    assert ask(gateway, settings, request="POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n") == 405


def api(gateway, settings, method="GET", path="/api/v1/hosts", fields=""):
    """Sends a request for the admin API to the node listener. Returns the status, and the last word of a problem's
    type."""
    gateway.https, https = gateway.node, gateway.https
    try:
        with connect(gateway, settings, None) as connection:
            body = "" if method == "GET" else "Content-Length: 2\r\n"
            answer = connection.ask(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{body}{fields}\r\n", *([] if method == "GET" else ["{}"]))
            problem = json.loads(answer.body)["type"].rpartition(":")[2] if answer.status >= 400 else ""
            return answer.status, problem
    finally:
        gateway.https = https


def test_the_certificate_is_the_credential_of_the_api(gateway, tmp_path):
    may_change = context(client("a.ci.mesh.test"), folder=tmp_path)
    may_look = context(client(f"URI:{SCRAPER}"), folder=tmp_path)
    both = context(client("a.ci.mesh.test", f"URI:{SCRAPER}"), folder=tmp_path)
    assert [api(gateway, who) for who in (may_change, may_look, both)] == 3 * [(200, "")]
    assert api(gateway, may_look, "POST") == (403, "insufficient-scope")
    assert [api(gateway, who, "POST") for who in (may_change, both)] == 2 * [(415, "unsupported-type")]
    # A token grants nothing more, and a wrong token takes nothing away.
    assert api(gateway, may_look, fields="Authorization: Bearer x\r\n") == (200, "")
    assert api(gateway, may_change, path="/api/v1/hosts/..") == (400, "bad-path")
    assert api(gateway, may_change, "POST", fields="Origin: https://evil.example\r\n") == (403, "foreign-origin")


def test_a_change_of_a_scope_applies_to_open_connections(gateway, tmp_path):
    settings = context(client("a.ci.mesh.test"), folder=tmp_path)
    post = "POST /api/v1/hosts HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    gateway.https = gateway.node
    with connect(gateway, settings, None) as kept:
        assert kept.ask(post).status == 415
        gateway.config["node"]["allow"][0]["scope"] = "read"
        gateway.reload()
        eventually("it may only look", lambda: kept.ask(post).status == 403)
        gateway.config["node"]["allow"][0]["scope"] = "write"
        gateway.reload()
        eventually("it may change again", lambda: kept.ask(post).status == 415)


@pytest.mark.parametrize("what, holder", {
    "no certificate": None,
    "another name": client("a.mesh.test"),
    "a name of one more label": client("b.a.ci.mesh.test"),
    "no name": client(),
    "a name in the subject alone": Holder("a.ci.mesh.test", root, purposes=[CLIENT]),
    "another CA": client("a.ci.mesh.test", issuer=other),
    "expired": client("a.ci.mesh.test", days=(-9, -1)),
    "for servers": client("a.ci.mesh.test", purposes=[SERVER]),
}.items())
def test_everybody_else_is_refused_in_the_handshake(gateway, tmp_path, what, holder):
    answer = ask(gateway, context(holder, folder=tmp_path) if holder else context())
    assert isinstance(answer, str) and "SSL" in answer, answer
    name = 'aegis_client_certificates_total{host="(node)",result="refused",reason="%s"}'
    reasons = ["no_certificate", "missing_name", "unknown_authority", "expired", "wrong_purpose"]

    def refused():
        text = gateway.ask("/metrics")[1]
        return any(name % reason in text for reason in reasons)

    eventually("the refusal is counted", refused)
    gateway.await_log("client's certificate was refused", "host=(node)")


def open_stream(gateway, settings):
    """Opens a stream of events, and reads its beginning."""
    gateway.https, https = gateway.node, gateway.https
    try:
        listener = connect(gateway, settings, None)
    finally:
        gateway.https = https
    listener.send("GET /api/v1/events/stream HTTP/1.1\r\nHost: x\r\n\r\n")
    assert listener.head().status == 200 and listener.until(b"\n\n").startswith(b"retry: ")
    return listener


def test_a_stream_ends_when_its_clients_certificate_expires(gateway, tmp_path):
    seconds = 1 / (24 * 60 * 60)
    ends = context(client("a.ci.mesh.test", days=(-1, 10 * seconds)), folder=tmp_path)
    stays = context(client("a.ci.mesh.test"), folder=tmp_path)
    with open_stream(gateway, ends) as ending, open_stream(gateway, stays) as staying:
        ending.to_end()
        make_token(gateway, "later")
        staying.until(b'"create-token"')
    assert isinstance(ask(gateway, ends), str)


def test_plain_http_is_refused(gateway):
    with Client(gateway.node) as plain:
        assert plain.get("x").status == 400


def test_a_change_of_allow_applies_to_open_connections(gateway, tmp_path):
    settings = context(client("a.ci.mesh.test"), folder=tmp_path)
    gateway.https = gateway.node
    with connect(gateway, settings, None) as kept:
        assert kept.get("x", "/healthz").status == 200
        gateway.config["node"]["allow"] = [{"san": "a.ci.mesh.test", "scope": "read"}]
        gateway.reload()
        assert kept.get("x", "/healthz").status == 200
        gateway.config["node"]["allow"] = [{"san": SCRAPER, "scope": "read"}]
        gateway.reload()
        assert kept.get("x", "/healthz").status == 403 and kept.is_closed()
    assert isinstance(ask(gateway, settings), str)


@pytest.mark.parametrize("change", ["empty", "gone", "narrower, with an identity that can't be used"])
def test_a_client_that_is_no_longer_allowed_is_refused_despite_other_faults(gateway, tmp_path, change):
    settings = context(client("a.ci.mesh.test"), folder=tmp_path)
    scraper = context(client(f"URI:{SCRAPER}"), folder=tmp_path)
    https, gateway.https = gateway.https, gateway.node
    with connect(gateway, settings, None) as kept:
        assert kept.ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status == 200
        gateway.https = https
        if change == "empty":
            gateway.config["node"]["allow"] = []
        elif change == "gone":
            del gateway.config["node"]["allow"]
        else:
            gateway.config["identities"]["missing"] = {
                "source": "file", "cert_file": "missing.pem", "key_file": "missing.key", "ca_file": "missing.pem"}
            gateway.config["node"].update(
                identity="missing", allow=[{"san": SCRAPER, "scope": "read"}, {"san": "new.test", "scope": "read"}])
        gateway.reload()
        gateway.await_log("error: the node listener:")
        assert kept.ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status == 403
    eventually("the refusal in the handshake", lambda: ask(gateway, settings) != 200)
    # Clients that are still allowed keep their access. No other client gets access.
    assert (ask(gateway, scraper) == 200) == change.startswith("narrower")
    assert ask(gateway, context(client("new.test"), folder=tmp_path)) != 200


def test_expired_certificates_are_locked_out_whatever_else_is_wrong(gateway, tmp_path):
    expired = context(client("a.ci.mesh.test", days=(-9, -1)), folder=tmp_path)
    gateway.config["identities"] = files(allow_expired=True)
    gateway.reload()
    eventually("expired certificates are accepted", lambda: ask(gateway, expired) == 200)
    gateway.config["identities"]["missing"] = {
        "source": "file", "cert_file": "missing.pem", "key_file": "missing.key", "ca_file": "missing.pem"}
    gateway.config["node"]["identity"] = "missing"
    gateway.reload()
    gateway.await_log("error: the node listener:")
    eventually("the refusal in the handshake", lambda: ask(gateway, expired) != 200)
    assert ask(gateway, context(client("a.ci.mesh.test"), folder=tmp_path)) == 200


def test_the_identity_and_its_cas_are_followed(gateway, tmp_path):
    settings = context(client("a.ci.mesh.test"), folder=tmp_path)
    assert ask(gateway, settings) == 200
    write(gateway.certs, node(other, names=["127.0.0.1"]), (other,))
    eventually("the former CA's clients are refused", lambda: isinstance(ask(gateway, settings), str))
    assert ask(gateway, context(client("a.ci.mesh.test", issuer=other), folder=tmp_path)) == 200
    replace_private(gateway.certs / "ca.crt", b"")
    gateway.await_log("error: the identity 'mesh' can't be used", "the former one is used on")
    assert ask(gateway, context(client("a.ci.mesh.test", issuer=other), folder=tmp_path)) == 200


def test_without_an_address_the_node_listener_closes(gateway, tmp_path):
    settings = context(client("a.ci.mesh.test"), folder=tmp_path)
    assert ask(gateway, settings) == 200
    del gateway.config["node"]
    gateway.reload()
    eventually("the port is closed", lambda: "refused" in str(ask(gateway, settings)).lower())
