"""The gateway's own identity, shown to upstreams that ask for it, and its CAs: from files, from environment variables and
made for development."""

import ssl
import subprocess
import time

import pytest

import load
from authority import CLIENT, SERVER, Holder, pem, revocation_list
from client import Client
from client_auth import LOCAL, ask, certified, context, replace
from gateway import PATIENCE, PROGRAMS, eventually, free_port

root, other = Holder("mesh", is_ca=True), Holder("other mesh", is_ca=True)
HOST = "127.0.0.1"


def node(issuer=root, **options):
    return Holder("node", issuer, **{"names": ["node.test"], "purposes": [CLIENT, SERVER], **options})


def write(folder, holder, authorities=(root,)):
    """Writes the files of an identity, each replaced by a rename."""
    for name, content in [
            ("node.crt", pem(holder.certificate)), ("node.key", holder.key_pem),
            ("ca.crt", pem(*(authority.certificate for authority in authorities)))]:
        replace_private(folder / name, content)


def replace_private(path, content):
    beside = path.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_bytes(content)
    beside.rename(path)


@pytest.fixture
def upstream(make_origin, tmp_path):
    """An upstream over TLS that asks for client certificates of `root` or `other`."""
    shows = Holder("upstream", root, names=[HOST, "up.test"], purposes=[SERVER])
    settings = shows.server(tmp_path / "upstream.pem")
    (tmp_path / "wanted.pem").write_bytes(pem(root.certificate, other.certificate))
    settings.load_verify_locations(tmp_path / "wanted.pem")
    settings.verify_mode = ssl.CERT_REQUIRED
    return make_origin(tls=settings)


def files(**settings):
    return {"mesh": {"source": "file", "cert_file": "node.crt", "key_file": "node.key", "ca_file": "ca.crt", **settings}}


def serve(run, tmp_path, upstream, identities, **upstream_tls):
    """A gateway whose host leads to `upstream`. Its folder has the identity's files."""
    folder = tmp_path / "gateway0"
    folder.mkdir(exist_ok=True)
    write(folder, node())
    return run(
        [{"domain": "app.test", "upstreams": [upstream.url], "upstream_tls": {"identity": "mesh", **upstream_tls}}],
        identities=identities)


def status(gateway):
    with Client(gateway.http) as client:
        return client.get("app.test").status


def test_the_gateway_shows_the_identity_and_verifies_the_upstream_by_its_cas(run, tmp_path, upstream):
    gateway = serve(run, tmp_path, upstream, files())
    assert status(gateway) == 200
    assert upstream.faults == []


@pytest.mark.parametrize("what, settings, expected", [
    ("the server's name", {"server_name": "up.test"}, 200),
    ("another server's name", {"server_name": "down.test"}, 502),
    ("a SAN", {"required_sans": ["up.test"]}, 200),
    ("another SAN", {"required_sans": ["*.mesh.test"]}, 502),
    ("other CAs", {"ca_file": "other.crt"}, 502),
])
def test_requirements_for_upstreams_are_enforced(run, tmp_path, upstream, what, settings, expected):
    folder = tmp_path / "gateway0"
    folder.mkdir()
    (folder / "other.crt").write_bytes(pem(other.certificate))
    gateway = serve(run, tmp_path, upstream, files(), **settings)
    assert status(gateway) == expected


def test_an_identity_that_is_not_for_clients_replaces_no_good_one(run, tmp_path, upstream):
    gateway = serve(run, tmp_path, upstream, files())
    assert status(gateway) == 200
    write(gateway.folder, node(purposes=[SERVER]))
    gateway.await_log("the identity 'mesh' can't be shown to upstreams: its certificate is not for clients")
    assert status(gateway) == 200
    gateway.config["hosts"][0]["aliases"] = ["more.test"]
    assert "host 'app.test': the identity 'mesh' can't be shown to upstreams" in gateway.apply(everything=True)
    assert status(gateway) == 200
    # Without extended key usages a certificate is for everything.
    write(gateway.folder, node(purposes=[]))
    gateway.await_log("upstreams trust other CAs now, or are shown another certificate")
    assert status(gateway) == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_the_log_says_that_an_upstream_refuses_the_identity(run, tmp_path, make_origin, version):
    """In TLS 1.3 its alert comes after the handshake."""
    settings = Holder("upstream", root, names=[HOST], purposes=[SERVER]).server(tmp_path / "upstream.pem")
    (tmp_path / "wanted.pem").write_bytes(pem(other.certificate))
    settings.load_verify_locations(tmp_path / "wanted.pem")
    settings.verify_mode, settings.maximum_version = ssl.CERT_REQUIRED, version
    gateway = serve(run, tmp_path, make_origin(tls=settings), files())
    assert status(gateway) == 502
    line = gateway.await_log("no answer from")
    assert "TLS" in line and "alert unknown ca" in line
    if version == ssl.TLSVersion.TLSv1_3:
        assert "it may refuse the certificate of the gateway's identity" in line


def test_an_identitys_requirements_apply_to_upstreams_and_follow_the_file(run, tmp_path, upstream):
    gateway = serve(run, tmp_path, upstream, files(required_sans=["*.mesh.test"]))
    assert status(gateway) == 502
    gateway.config["identities"] = files(required_sans=["up.test"])
    gateway.reload()
    assert status(gateway) == 200


@pytest.mark.parametrize("way", ["missing", "exposed", "of another key", "expired"])
def test_with_an_identity_that_was_never_usable_no_upstream_is_reached(run, tmp_path, upstream, way):
    folder = tmp_path / "gateway0"
    folder.mkdir()
    gateway = serve(run, tmp_path, upstream, files(), )
    gateway.stop()
    good = (folder / "node.key").read_bytes()
    if way == "missing":
        (folder / "node.key").unlink()
    elif way == "exposed":
        (folder / "node.key").chmod(0o644)
    elif way == "of another key":
        replace_private(folder / "node.key", node().key_pem)
    else:
        write(folder, node(days=(-9, -1)))
    gateway.start()
    line = gateway.await_log("error: the identity 'mesh' can't be used")
    assert "used on" not in line
    assert status(gateway) == 502 and upstream.requests == []
    if way == "exposed":
        gateway.await_log("chmod")
        (folder / "node.key").chmod(0o600)
    elif way == "expired":
        write(folder, node())
    else:
        replace_private(folder / "node.key", good)
    eventually("it mends itself", lambda: status(gateway) == 200)


def test_no_request_is_lost_while_an_identity_is_replaced(run, make_origin, upstream, tmp_path, figures):
    """The pair is replaced file by file, so between the two renames certificate and key don't belong together."""
    upstream.answer = load.answer
    taken = []
    gateway = serve(run, tmp_path, upstream, files())
    folder = tmp_path / "gateway0"
    with load.Load(gateway) as traffic:
        for number in range(load.ROTATIONS):
            authority = (other, root)[number % 2]
            write(folder, node(authority), (root, other))
            written = time.monotonic()
            eventually("the change", lambda: gateway.log.count("are shown another certificate") > number)
            taken.append(time.monotonic() - written)
            requests = traffic.requests
            eventually("requests after it", lambda: traffic.requests > requests + 20 or traffic.faults)
    assert "no answer from" not in gateway.log
    # The gateway should need at most a second. The time also depends on the machine's load, so it is reported and not
    # checked.
    figures.append(
        f"a replaced identity is in force after {sorted(taken)[len(taken) // 2]:.2f} s, {max(taken):.2f} s at most"
        f" ({sum(one > 1 for one in taken)} of {len(taken)} above 1 s)")


def test_no_request_is_lost_while_a_development_identity_is_made_again(run, make_origin, tmp_path):
    """The node's certificate is removed each time, so that the same CA makes it again."""
    certs = tmp_path / "certs"
    gateway = run(
        [], identities={"mesh": {"source": "dev", "cert_dir": str(certs)}}, node={"id": "edge-1"})
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    settings.load_cert_chain(certs / "edge-1-cert.pem", certs / "edge-1-key.pem")
    settings.load_verify_locations(certs / "ca-cert.pem")
    settings.verify_mode = ssl.CERT_REQUIRED
    upstream = make_origin(tls=settings)
    upstream.answer = load.answer
    gateway.config["hosts"] = [{
        "domain": "app.test", "upstreams": [upstream.url],
        "upstream_tls": {"identity": "mesh", "server_name": "edge-1"}}]
    gateway.reload()
    with load.Load(gateway) as traffic:
        for number in range(load.ROTATIONS):
            (certs / "edge-1-cert.pem").unlink()
            eventually("the change", lambda: gateway.log.count("are shown another certificate") > number)
            requests = traffic.requests
            eventually("requests after it", lambda: traffic.requests > requests + 20 or traffic.faults)
    assert "no answer from" not in gateway.log


def test_no_request_is_lost_while_successors_read_an_identity_from_variables(run, upstream, tmp_path, monkeypatch):
    """A process's environment does not change: a successor has the same variables, and shows the same identity."""
    upstream.answer = load.answer
    shown = node()
    for name, content in {"CERT": pem(shown.certificate), "KEY": shown.key_pem, "CA": pem(root.certificate)}.items():
        monkeypatch.setenv(f"MESH_{name}", content.decode())
    gateway = serve(run, tmp_path, upstream, {"mesh": {
        "source": "env", "cert_env_var": "MESH_CERT", "key_env_var": "MESH_KEY", "ca_env_var": "MESH_CA"}})
    former = []
    with load.Load(gateway) as traffic:
        for _ in range(20):
            requests = traffic.requests
            former.append(gateway.upgrade())
            eventually("requests after it", lambda: traffic.requests > requests + 20 or traffic.faults)
    for process in former:
        assert process.wait(PATIENCE) == 0
    assert "no answer from" not in gateway.log


def test_a_lack_of_cas_is_reported_with_its_cause(run, upstream, make_origin, tmp_path, monkeypatch):
    """An identity without CAs can be shown, but verifies nobody: its hosts answer no handshake."""
    shown = node()
    monkeypatch.setenv("MESH_CERT", pem(shown.certificate).decode())
    monkeypatch.setenv("MESH_KEY", shown.key_pem.decode())
    gateway = run([
        certified("any.test", upstreams=[make_origin().url], client_auth={"identity": "mesh"}),
        {"domain": "app.test", "upstreams": [upstream.url], "upstream_tls": {"identity": "mesh"}},
    ], identities={"mesh": {
        "source": "env", "cert_env_var": "MESH_CERT", "key_env_var": "MESH_KEY", "ca_env_var": "MESH_CA"}}, node={
            "address": f"127.0.0.1:{free_port()}", "identity": "mesh", "allow": [{"san": "a.test", "scope": "read"}]}, **LOCAL)
    cause = "the identity 'mesh': it has no CAs of peers: the variable MESH_CA is not set"
    gateway.await_log("error: clients' certificates can't be verified", cause, "hosts that need it answer no handshake: any.test")
    gateway.await_log("error: the CAs of upstreams can't be used", cause)
    gateway.await_log("node listener", cause)
    said = gateway.run_apply().stderr
    for host in ("any.test", "app.test"):
        assert f"warning: host '{host}': {cause}" in said


def test_clients_are_verified_by_an_identitys_present_cas(run, tmp_path, make_origin):
    folder = tmp_path / "gateway0"
    folder.mkdir()
    write(folder, node())
    gateway = run(
        [certified("any.test", upstreams=[make_origin().url], client_auth={"identity": "mesh"})],
        identities=files(required_sans=["*.clients.test"]), **LOCAL)
    good = context(Holder("client", root, names=["a.clients.test"]), folder=tmp_path)
    assert ask(gateway, good, "any.test")[0] == 200
    unnamed = context(Holder("client", root, names=["a.others.test"]), folder=tmp_path)
    assert isinstance(ask(gateway, unnamed, "any.test")[0], str)
    # The identity's rules change without the host's.
    gateway.config["identities"] = files(required_sans=["*.others.test"])
    gateway.reload()
    assert ask(gateway, unnamed, "any.test")[0] == 200
    assert isinstance(ask(gateway, good, "any.test")[0], str)
    write(folder, node(other), (other,))
    eventually("other CAs", lambda: isinstance(ask(gateway, unnamed, "any.test")[0], str))


NARROWER = {
    "required_sans": ({}, {"required_sans": ["a.clients.test"]}, {"names": ["b.clients.test"]}),
    "allow_expired": ({"allow_expired": True}, {}, {"names": ["a.clients.test"], "days": (-9, -1)}),
    "verify_chain": ({"verify_chain": False}, {}, {"names": ["a.clients.test"], "issuer": other}),
}


@pytest.mark.parametrize("what", NARROWER)
def test_narrower_rules_of_an_identity_hold_though_files_are_broken(run, tmp_path, make_origin, what):
    """Threat: a permission that the file no longer gives is kept as the last good state."""
    folder = tmp_path / "gateway0"
    folder.mkdir()
    write(folder, node())
    (folder / "mesh.crl").write_bytes(revocation_list(root))
    before, after, options = NARROWER[what]
    gateway = run(
        [certified("any.test", upstreams=[make_origin().url], client_auth={"identity": "mesh", "crl_files": ["mesh.crl"]})],
        identities=files(**before), **LOCAL)
    good = context(Holder("client", root, names=["a.clients.test"]), folder=tmp_path)
    options = {"issuer": root, **options}
    bad = context(Holder("client", options.pop("issuer"), **options), folder=tmp_path)
    assert ask(gateway, bad, "any.test")[0] == 200
    replace(folder / "mesh.crl", b"no list")
    gateway.await_log("clients' certificates can't be verified", "mesh.crl")
    gateway.config["identities"] = files(**after)
    gateway.reload()
    assert isinstance(ask(gateway, bad, "any.test")[0], str)
    assert ask(gateway, good, "any.test")[0] == 200


def test_narrower_rules_for_upstreams_hold_though_their_ca_file_is_broken(run, tmp_path, upstream):
    folder = tmp_path / "gateway0"
    folder.mkdir()
    (folder / "up.pem").write_bytes(pem(root.certificate))
    gateway = serve(run, tmp_path, upstream, files(), ca_file="up.pem")
    assert status(gateway) == 200
    replace(folder / "up.pem", b"no PEM")
    gateway.await_log("error: the CAs in", "up.pem", "the former ones stay trusted")
    # The last good CAs stay in use, with the rules of the file.
    for names, expected in [(["up.test"], 200), (["other.test"], 502), (["*.test"], 200)]:
        gateway.config["hosts"][0]["upstream_tls"]["required_sans"] = names
        gateway.reload()
        assert status(gateway) == expected


def test_upstreams_are_not_verified_by_the_systems_cas_while_the_identitys_can_not_be_read(
        run, tmp_path, make_origin, monkeypatch):
    """Threat: the file narrows the trust to CAs that can't be read, and the former, wider trust stays."""
    shows = Holder("upstream", root, names=[HOST], purposes=[SERVER])
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    (tmp_path / "system.pem").write_bytes(pem(root.certificate))
    folder = tmp_path / "gateway0"
    folder.mkdir()
    write(folder, node(), (other,))
    without = files()
    del without["mesh"]["ca_file"]
    gateway = serve(run, tmp_path, make_origin(tls=shows.server(tmp_path / "upstream.pem")), without)
    assert status(gateway) == 200
    gateway.config["identities"] = files(ca_file="none.crt")
    gateway.reload()
    assert status(gateway) == 502
    gateway.await_log("the CAs of upstreams can't be used")
    replace(folder / "none.crt", pem(root.certificate))
    eventually("the CAs of the identity", lambda: status(gateway) == 200)


def test_allow_expired_is_told_everywhere_as_long_as_it_is_set(run, tmp_path):
    """Threat: a setting that was meant for a migration stays, and nobody notices."""
    folder = tmp_path / "gateway0"
    folder.mkdir()
    write(folder, node())
    gateway = run(
        [certified("any.test", respond={"status": 200}, client_auth={"ca_file": "ca.crt", "allow_expired": True})],
        identities=files(allow_expired=True), **LOCAL)
    names = [f'aegis_expired_certificates_allowed{{kind="{kind}",name="{name}"}} 1\n'
             for kind, name in (("host", "any.test"), ("identity", "mesh"))]

    def status():
        return subprocess.run(
            [PROGRAMS / "aegis-apply", "status"], cwd=gateway.folder, capture_output=True, text=True, check=True,
            timeout=PATIENCE).stdout

    eventually("the metrics", lambda: all(name in gateway.ask("/metrics")[1] for name in names))
    gateway.await_log("warning: the host 'any.test' accepts expired certificates of clients (allow_expired: true)")
    gateway.await_log("warning: the identity 'mesh' accepts expired certificates of peers (allow_expired: true)")
    assert "accepts expired certificates of clients" in status() and "accepts expired certificates of peers" in status()
    for part in (gateway.config["hosts"][0]["client_auth"], gateway.config["identities"]["mesh"]):
        del part["allow_expired"]
    gateway.reload()
    eventually("no metrics", lambda: "aegis_expired_certificates_allowed" not in gateway.ask("/metrics")[1])
    assert "expired certificates" not in status()


def test_a_development_identity_makes_its_own_ca(run, tmp_path, make_origin):
    """The gateway makes the CA and its own certificate, and accepts clients with a certificate of that CA."""
    certs = tmp_path / "certs"
    gateway = run(
        [certified("any.test", upstreams=[make_origin().url], client_auth={"identity": "lab"})],
        identities={"lab": {"source": "dev", "cert_dir": str(certs)}}, node={"id": "edge-1"}, **LOCAL)
    assert (certs / "ca-key.pem").stat().st_mode & 0o777 == 0o600
    settings = context()
    settings.load_cert_chain(certs / "edge-1-cert.pem", certs / "edge-1-key.pem")
    assert ask(gateway, settings, "any.test")[0] == 200
    assert isinstance(ask(gateway, context(), "any.test")[0], str)
    # Each command says that the identity is for development alone.
    assert "identity 'lab' is for development alone" in gateway.apply(everything=True)
    for command in ("status", "identities"):
        said = subprocess.run(
            [PROGRAMS / "aegis-apply", command], cwd=gateway.folder, capture_output=True, text=True, timeout=PATIENCE)
        assert "for development alone" in said.stdout
    done = subprocess.run(
        ["openssl", "verify", "-CAfile", certs / "ca-cert.pem", "-purpose", "sslclient", certs / "edge-1-cert.pem"],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
