"""`aegis-apply identities`: what it reports about identities, and about peers that it connects to with them."""

import json
import os
import socket
import ssl
import subprocess
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from authority import CLIENT, SERVER, Holder, pem, revocation_list
from gateway import PATIENCE, PROGRAMS, Gateway, eventually, free_port
from origin import Origin
from test_identities import files, node, replace_private, write

root, other = Holder("mesh", is_ca=True), Holder("other mesh", is_ca=True)
HOST = "127.0.0.1"


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, node(root), (root,))
    return tmp_path


def applied(folder, identities=None, hosts=(), **sections):
    gateway = Gateway(folder, list(hosts), identities=files() if identities is None else identities, **sections)
    gateway.apply()
    return gateway


def tell(folder, *words, expect=0, environment=None):
    done = subprocess.run(
        [PROGRAMS / "aegis-apply", *words], cwd=folder, capture_output=True, text=True, timeout=PATIENCE * 3,
        env={**os.environ, **(environment or {})})
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def identities(folder, **options):
    return json.loads(tell(folder, "identities", "list", "--format", "json", **options))["identities"]


# Which identities are loaded.


def test_each_identity_is_listed_with_its_state(folder):
    late = folder / "late"
    late.mkdir()
    write(late, Holder("late", root, names=["late.test"], days=(-9, -1)), (root,))
    applied(folder, {
        **files(), "late": {"source": "file", "cert_file": "late/node.crt", "key_file": "late/node.key"},
        "lab": {"source": "dev", "cert_dir": "dev"}, "pod": {"source": "env"},
        "prod": {"source": "vault", "vault": "main", "pki": {"role": "node", "common_name": "a.test"}},
    }, vaults={"main": {"address": "http://127.0.0.1:8200", "auth": {"method": "token", "token": {"env": "T"}}}})
    text = tell(folder, "identities")
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert "CN=node" in lines["mesh"] and "DNS:node.test" in lines["mesh"] and lines["mesh"].endswith("good")
    assert "29 days" in lines["mesh"] or "30 days" in lines["mesh"]
    assert "can't be used: cert_file" in lines["late"] and "it expired on" in lines["late"]
    assert "not read here: it is not made yet; the gateway makes it; no gateway is running" in lines["lab"]
    assert "not read here: the variable AEGIS_TLS_CERT is not set here" in lines["pod"]
    assert "not read here: the gateway obtains it from its Vault; no gateway is running" in lines["prod"]
    # Listing creates nothing.
    assert not (folder / "dev").exists()
    states = {one["name"]: one["state"] for one in identities(folder)}
    assert states == {"mesh": "good", "late": "unusable", "lab": "unread", "pod": "unread", "prod": "unread"}


def test_commands_tell_what_a_gateway_reports(run, tmp_path):
    """Identities that only the gateway can judge, several in trouble at once, each for its own reason."""
    folder = tmp_path / "gateway0"
    folder.mkdir()
    write(folder, node(root), (root,))
    vault = {"address": f"http://127.0.0.1:{free_port()}", "auth": {"method": "token", "token": {"file": "none"}}}
    gateway = run(
        [{"domain": "a.test", "ssl_mode": "custom", "certificate": "all", "respond": {"status": 200},
          "client_auth": {"identity": "mesh"}}],
        identities={
            **files(), "pod": {"source": "env", "cert_env_var": "AEGIS_NO_CERT"}, "lab": {"source": "dev", "cert_dir": "dev"},
            "prod": {"source": "vault", "vault": "main", "pki": {"role": "node", "common_name": "a.test"}}},
        vaults={"main": vault}, issuers={"lan": {"type": "local_ca"}},
        certificates={"all": {"issuer": "lan", "domains": ["a.test"]}})

    def lines():
        return {line.split()[0]: line for line in tell(folder, "identities").splitlines()}

    def reported():
        found = lines()
        return found if all("gateway '" in found[name] for name in ("pod", "prod")) else None

    found = eventually("the gateway's reports", reported)
    assert "can't be used: gateway '" in found["pod"] and "AEGIS_NO_CERT is not set" in found["pod"]
    assert "can't be used: gateway '" in found["prod"] and "can't be obtained from Vault 'main': " in found["prod"]
    assert found["mesh"].endswith("good") and found["lab"].endswith("good, for development alone")
    states = {one["name"]: (one["state"], one["problem"] is None) for one in identities(folder)}
    assert states == {"mesh": ("good", True), "lab": ("good", True), "pod": ("unusable", False), "prod": ("unusable", False)}
    # An identity that this command can use may be unusable for the gateway.
    (folder / "node.key").chmod(0o644)
    gateway.await_log("the identity 'mesh' can't be used")
    assert "chmod" in lines()["mesh"]
    reasons = ("the identity 'pod' can't be used", "the identity 'prod' can't be obtained", "the identity 'mesh' can't be used")

    def told():
        text = tell(folder, "status", "--check", expect=3)
        return all(reason in text for reason in reasons)

    eventually("all that the gateway reports", told)
    gateways = json.loads(tell(folder, "status", "--format", "json"))["gateways"]
    assert len(gateways[0]["troubles"]) == gateways[0]["problems"] == 3


def test_an_identity_is_shown_with_its_chain_and_cas(folder):
    above = Holder("issuing", root, is_ca=True)
    leaf = node(above)
    write(folder, leaf, (root, other))
    replace_private(folder / "node.crt", pem(leaf.certificate, above.certificate))
    applied(folder, files(required_sans=["*.mesh.test"]))
    text = tell(folder, "identities", "show", "mesh")
    assert "CN=issuing" in text and "CN=mesh" in text and "CN=other mesh" in text and "*.mesh.test" in text
    shown = json.loads(tell(folder, "identities", "show", "mesh", "--format", "json"))
    assert [one["subject"] for one in shown["chain"]] == ["CN=node", "CN=issuing"]
    assert [one["subject"] for one in shown["authorities"]] == ["CN=mesh", "CN=other mesh"]
    assert shown["required_sans"] == ["*.mesh.test"]
    unknown = tell(folder, "identities", "show", "mash", expect=1)
    assert "has no identity 'mash'" in unknown and "did you mean 'mesh'?" in unknown


def test_an_identity_of_variables_is_read_from_this_environment(folder):
    holder = node(root)
    applied(folder, {"pod": {"source": "env"}})
    variables = {"AEGIS_TLS_CERT": pem(holder.certificate).decode(), "AEGIS_TLS_KEY": holder.key_pem.decode()}
    assert identities(folder, environment=variables)[0]["state"] == "good"
    variables["AEGIS_TLS_KEY"] = node(root).key_pem.decode()
    one, = identities(folder, environment=variables)
    assert one["state"] == "unusable" and "BEGIN" not in json.dumps(one)


# Connecting to a peer with an identity.


def server(folder, holder, wanted=None, version=None, at=(HOST, 0)):
    """A peer that shows `holder`, and asks for certificates of `wanted`."""
    settings = holder.server(folder / "peer.pem")
    if wanted:
        (folder / "wanted.pem").write_bytes(pem(wanted.certificate))
        settings.load_verify_locations(folder / "wanted.pem")
        settings.verify_mode = ssl.CERT_REQUIRED
    if version:
        settings.maximum_version = version
    return Origin(tls=settings, at=at)


def peer(names=(HOST, "up.test"), issuer=root, **options):
    return Holder("peer", issuer, names=list(names), purposes=[SERVER], **options)


def check(folder, origin, *words, expect=0, host=HOST):
    """The result of a check as JSON; the exit code must be the same with text output."""
    place = f"{host}:{origin.port}"
    tell(folder, "identities", "check", "mesh", place, *words, expect=expect)
    return json.loads(tell(folder, "identities", "check", "mesh", place, *words, "--format", "json", expect=expect))


@pytest.fixture
def peers():
    running = []
    yield running
    for one in running:
        one.stop()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_check_reports_a_peer_that_does_not_object(folder, peers, version):
    applied(folder)
    peers.append(server(folder, peer(), root, version))
    found = check(folder, peers[0])
    assert found["tls_version"] == ("1.2" if version == ssl.TLSVersion.TLSv1_2 else "1.3")
    assert found["is_good"] and found["peer_trusted"] and found["certificate"] == "unopposed"
    assert found["peer_chain"][0]["sans"] == ["IP:127.0.0.1", "DNS:up.test"]
    text = tell(folder, "identities", "check", "mesh", f"{HOST}:{peers[0].port}")
    assert "peer is trusted" in text and "asked for the identity's certificate, and has not objected to it" in text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_check_reports_a_peer_that_refuses_our_certificate(folder, peers, version):
    applied(folder)
    peers.append(server(folder, peer(), other, version))
    found = check(folder, peers[0], expect=3)
    assert not found["is_good"] and found["certificate_asked"] and found["certificate"] == "refused"
    assert "unknown ca" in found["certificate_refusal"]
    assert found["peer_trusted"] and found["peer_chain"][0]["subject"] == "CN=peer"


def test_check_reports_a_peer_that_asks_for_no_certificate(folder, peers):
    applied(folder)
    peers.append(server(folder, peer()))
    found = check(folder, peers[0])
    assert found["certificate"] == "not_asked" and found["is_good"]


@pytest.mark.parametrize("what, shown, options, identity, reason", [
    ("another CA", {"issuer": other}, [], {}, "unknown_authority"),
    ("itself as its CA", {"issuer": None}, [], {}, "self_signed"),
    ("expired", {"days": (-9, -1)}, [], {}, "expired"),
    ("another name", {"names": ["up.test"]}, [], {}, "wrong_host"),
    ("another name than wanted", {}, ["--server-name", "down.test"], {}, "wrong_host"),
    ("no required SAN", {}, [], {"required_sans": ["*.mesh.test"]}, "missing_name"),
    ("the wanted name", {"names": ["up.test"]}, ["--server-name", "up.test"], {}, None),
    ("a required SAN", {}, [], {"required_sans": ["up.test"]}, None),
    ("expired, which is allowed", {"days": (-9, -1)}, [], {"allow_expired": True}, None),
])
def test_check_says_why_a_peer_is_not_trusted(folder, peers, what, shown, options, identity, reason):
    """The check continues with an untrusted peer, and reports what the peer says of the gateway's certificate."""
    applied(folder, files(**identity))
    peers.append(server(folder, peer(**shown), root))
    found = check(folder, peers[0], *options, expect=3 if reason else 0)
    assert found["peer_refusal_reason"] == reason
    assert found["peer_chain"][0]["subject"] == "CN=peer" and found["certificate"] == "unopposed"
    if reason == "missing_name":
        assert "DNS:up.test" in found["peer_refusal"]


def test_an_identity_without_cas_trusts_the_systems_cas(folder, peers):
    settings = files()
    del settings["mesh"]["ca_file"]
    applied(folder, settings)
    peers.append(server(folder, peer()))
    assert check(folder, peers[0], expect=3)["peer_refusal_reason"] == "unknown_authority"


def test_check_accepts_an_ipv6_address(folder, peers):
    applied(folder)
    try:
        peers.append(server(folder, peer(["::1"]), root, at=("::1", 0)))
    except OSError:
        pytest.skip("there is no IPv6 here")
    assert check(folder, peers[0], host="[::1]")["is_good"]


def test_check_reports_an_unreachable_peer(folder):
    applied(folder)
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        # The peer accepts the connection and sends nothing.
        text = tell(folder, "identities", "check", "mesh", f"{HOST}:{port}", "--timeout", "1", expect=3)
        assert "no answer in time" in text
    assert "can't connect: Connection refused" in tell(
        folder, "identities", "check", "mesh", f"{HOST}:{port}", expect=3)
    assert "can't be resolved" in tell(folder, "identities", "check", "mesh", "nowhere.invalid:1", expect=3)
    for address in ("", "a:b", "::1:443", "http://a:1", "a:99999"):
        assert "bad address" in tell(folder, "identities", "check", "mesh", address, expect=64)


def test_check_reports_a_peer_without_tls(folder, peers):
    applied(folder)
    with socket.create_server((HOST, 0)) as listener:
        def answer():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.close()

        threading.Thread(target=answer, daemon=True).start()
        port = listener.getsockname()[1]
        text = tell(folder, "identities", "check", "mesh", f"{HOST}:{port}", expect=3)
        assert "the TLS handshake failed" in text
        listener.shutdown(socket.SHUT_RDWR)


def test_check_does_not_try_an_unusable_identity(folder, peers):
    applied(folder)
    (folder / "node.key").chmod(0o644)
    text = tell(folder, "identities", "check", "mesh", f"{HOST}:1", expect=3)
    assert "identity 'mesh' can't be used" in text and "chmod" in text


# What status reports.


def test_status_names_identities_and_lists_that_need_attention(folder):
    host = {
        "domain": "a.test", "ssl_mode": "custom", "certificate": "all", "respond": {"status": 200},
        "client_auth": {"identity": "mesh", "crl_files": ["mesh.crl"]}}
    (folder / "mesh.crl").write_bytes(revocation_list(root))
    write(folder, Holder("node", root, names=["node.test"], days=(-1, 90), purposes=[CLIENT, SERVER]), (root,))
    gateway = applied(
        folder, hosts=[host], issuers={"lan": {"type": "local_ca"}},
        certificates={"all": {"issuer": "lan", "domains": ["a.test"]}})
    good = tell(folder, "status", "--check")
    assert "mesh" in good and "problem" not in good.replace("PROBLEM", "")
    (folder / "mesh.crl").write_bytes(revocation_list(root, days=(-9, -1)))
    text = tell(folder, "status", "--check", expect=3)
    assert "problem: the revocation list of 'CN=mesh' in 'mesh.crl' is past its next update" in text
    assert "a.test refuses clients of this CA" in text
    # A newer list of the same CA in another file replaces this list.
    (folder / "newer.crl").write_bytes(revocation_list(root, number=2))
    lists = gateway.config["hosts"][0]["client_auth"]["crl_files"]
    lists.append("newer.crl")
    assert "next update" not in gateway.apply(everything=True) + tell(folder, "status", "--check")
    lists.remove("newer.crl")
    # The operator has allowed this use.
    gateway.config["hosts"][0]["client_auth"]["crl_expired"] = "accept"
    gateway.apply()
    assert "note: the revocation list of 'CN=mesh'" in tell(folder, "status", "--check")
    write(folder, Holder("node", root, names=["node.test"], days=(-9, -1)), (root,))
    text = tell(folder, "status", "--check", expect=3)
    assert "can't be used: cert_file" in text and "it expired on" in text
    write(folder, Holder("node", root, names=["node.test"], days=(-9, 3)), (root,))
    assert "is about to expire" in tell(folder, "status", "--check", expect=3)
    write(folder, Holder("node", root, names=["node.test"], days=(-9, 20)), (root,))
    assert "expires in" in tell(folder, "status", "--check")
    report = json.loads(tell(folder, "status", "--format", "json"))
    assert report["identities"][0]["name"] == "mesh" and report["revocation_lists"][0]["is_problem"] is False


# What a dry run reports about files.


def test_a_dry_run_reports_problems_of_lists_and_identities(folder):
    host = {
        "domain": "a.test", "ssl_mode": "custom", "certificate": "all", "respond": {"status": 200},
        "client_auth": {"identity": "mesh", "crl_files": ["mesh.crl", "other.crl"]}}
    (folder / "mesh.crl").write_bytes(revocation_list(root, days=(-9, -1)))
    (folder / "other.crl").write_bytes(revocation_list(other))
    gateway = applied(
        folder, hosts=[host], issuers={"lan": {"type": "local_ca"}},
        certificates={"all": {"issuer": "lan", "domains": ["a.test"]}})
    text = tell(folder, "--dry-run")
    assert "the revocation list of 'CN=mesh' is past its next update" in text
    assert "the gateway refuses all clients with certificates of this CA" in text
    assert "the revocation list of 'CN=other mesh' is of none of the CAs" in text
    gateway.config["hosts"][0]["client_auth"]["crl_expired"] = "accept"
    assert "it is used as it is, as crl_expired says" in gateway.apply(everything=True)
    # A revocation list with the name of a CA that has not signed it.
    (folder / "mesh.crl").write_bytes(revocation_list(Holder("mesh", is_ca=True)))
    text = tell(folder, "--dry-run")
    assert "don't fit the CAs in 'ca.crt'" in text and "goes on with what it had" in text
    (folder / "mesh.crl").write_bytes(revocation_list(root))
    for change, words in [
            (lambda: (folder / "node.key").chmod(0o644), "chmod"),
            (lambda: replace_private(folder / "node.key", node(root).key_pem), "identity 'mesh' can't be used"),
            (lambda: write(folder, node(root, days=(-9, -1)), (root,)), "it expired on"),
            (lambda: write(folder, node(root, days=(-9, 20)), (root,)), "identity 'mesh' expires in"),
            (lambda: (folder / "node.crt").unlink(), "No such file")]:
        change()
        assert words in tell(folder, "--dry-run")


@pytest.mark.parametrize("what, options, words", [
    ("expired", {"days": (-9, -1)}, "the authority 'CN=old' has expired"),
    ("weak", {"key": rsa.generate_private_key(65537, 1024)}, "the authority 'CN=old' has a key that is too weak"),
    ("good", {}, None),
])
def test_an_apply_warns_of_cas_that_accept_nobody(folder, what, options, words):
    ca = folder / "old.pem"
    ca.write_bytes(pem(Holder("old", is_ca=True, **options).certificate))
    host = {
        "domain": "a.test", "ssl_mode": "custom", "certificate": "all", "respond": {"status": 200},
        "client_auth": {"ca_file": "old.pem"}}
    gateway = applied(
        folder, hosts=[host], issuers={"lan": {"type": "local_ca"}},
        certificates={"all": {"issuer": "lan", "domains": ["a.test"]}})
    told = gateway.apply(everything=True)
    assert ("accept no certificate" in told) == bool(words) and (words or "") in told
    ca.write_bytes(ca.read_bytes() + pem(root.certificate))
    assert "accept no certificate" not in gateway.apply(everything=True)
