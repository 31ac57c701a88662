"""Unusable files of CAs and revocation lists: hosts keep the last good content, and let nobody in without it."""

import datetime
import subprocess
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from authority import Holder, pem, revocation_list
from client_auth import (
    LOCAL, VERSIONS, ask, certified, changing_gateway, connect, context, in_force, issuing, leaf, mate, refusals, replace,
    root, stranger)
from gateway import PATIENCE, PROGRAMS, eventually

changing = pytest.fixture(changing_gateway)

BROKEN = {
    "CAs without PEM": ("ca.pem", lambda: b"no PEM"), "missing CAs": ("ca.pem", lambda: None),
    "a list that is none": ("root.crl", lambda: b"no list"), "a missing list": ("root.crl", lambda: None),
    "a list that the CA has not signed": ("root.crl", lambda: revocation_list(Holder("clients", is_ca=True))),
}


@pytest.mark.parametrize("content", [b"", b"no PEM", None], ids=["empty", "no PEM", "missing"])
def test_unusable_cas_leave_the_last_good_ones_in_force(changing, tmp_path, content):
    settings = context(leaf(), folder=tmp_path)
    if content is None:
        (tmp_path / "ca.pem").unlink()
    else:
        replace(tmp_path / "ca.pem", content)
    changing.await_log("ca.pem")
    assert ask(changing, settings, "any.test")[0] == 200
    assert isinstance(ask(changing, context(), "any.test")[0], str)


@pytest.mark.parametrize("what", BROKEN)
def test_narrower_rules_of_a_host_hold_though_its_files_are_broken(changing, tmp_path, what):
    """Threat: a permission that the file no longer gives is kept as the last good state."""
    wanted, unwanted = (context(leaf(names=[f"{name}.clients.test"]), folder=tmp_path) for name in "ab")
    file, content = BROKEN[what]
    with connect(changing, unwanted, "any.test") as client:
        assert client.get("any.test").status == 200
        if content() is None:
            (tmp_path / file).unlink()
        else:
            replace(tmp_path / file, content())
        changing.await_log("clients' certificates can't be verified", file)
        changing.config["hosts"][0]["client_auth"]["required_sans"] = ["a.clients.test"]
        changing.reload()
        assert client.get("any.test").status == 421 and client.is_closed()
    assert isinstance(ask(changing, unwanted, "any.test")[0], str)
    # The last good CAs and lists stay in use.
    assert ask(changing, wanted, "any.test")[0] == 200
    changing.await_log("the former ones are used on")


@pytest.mark.parametrize("file", ["ca.pem", "root.crl"])
def test_a_start_with_broken_files_lets_nobody_in_and_tells_everywhere(changing, tmp_path, file):
    """The last good content is in the memory of the process that read it. Without it a host answers no handshake."""
    settings = context(leaf(), folder=tmp_path)
    good = (tmp_path / file).read_bytes()
    replace(tmp_path / file, b"neither")
    changing.stop()
    changing.start()
    changing.await_log("error: clients' certificates can't be verified", file, "hosts that need it answer no handshake")
    for shown in (settings, context()):
        assert isinstance(ask(changing, shown, "any.test")[0], str)
    eventually("the clients are counted", lambda: changing.metric('aegis_tls_handshake_failures_total{reason="no_trust"}') >= 2)
    eventually("the problem is counted", lambda: changing.metric("aegis_state_problems") == 1)
    status = subprocess.run(
        [PROGRAMS / "aegis-apply", "status"], cwd=changing.folder, capture_output=True, text=True, timeout=PATIENCE)
    assert "answer no handshake" in status.stdout, status
    replace(tmp_path / file, good)
    in_force(changing, settings, 200)


@pytest.mark.parametrize("content", [b"", b"no PEM", None], ids=["empty", "no PEM", "missing"])
def test_a_host_whose_cas_were_never_usable_refuses_everybody(run, make_origin, tmp_path, content):
    """Threat: a gateway that can't read the file of CAs and then asks for no certificate, or accepts the system's CAs."""
    file = tmp_path / "ca.pem"
    hosts = [
        certified("any.test", upstreams=[make_origin().url], client_auth={"ca_file": str(file)}),
        certified("open.test", respond={"status": 200, "body": "open"}),
    ]
    gateway = run(hosts, **LOCAL)
    settings = context(leaf(), folder=tmp_path)
    gateway.await_log("ca.pem", "No such file")
    if content is not None:
        file.write_bytes(content)
        gateway.await_log("ca.pem", "no certificate found")
    assert isinstance(ask(gateway, settings, "any.test")[0], str)
    assert ask(gateway, settings, "open.test")[0] == 200
    assert ask(gateway, settings, "open.test", "any.test")[0] == 421
    replace(file, pem(root.certificate))
    in_force(gateway, settings, 200)


@VERSIONS
def test_cas_with_more_names_than_a_handshake_can_hold_are_used(changing, tmp_path, version):
    """Threat: a file of CAs that grows refuses everybody. TLS has room for 64 KiB of names."""
    cas = [Holder(f"{number}".ljust(64, "x"), is_ca=True, key=root.key) for number in range(900)]
    replace(tmp_path / "ca.pem", pem(root.certificate, stranger.certificate, *(ca.certificate for ca in cas)))
    in_force(changing, context(leaf(stranger), folder=tmp_path, version=version), 200)
    assert ask(changing, context(leaf(), folder=tmp_path, version=version), "any.test")[0] == 200
    assert isinstance(ask(changing, context(version=version), "any.test")[0], str)


@VERSIONS
def test_a_client_with_more_certificates_than_are_read_is_refused_with_the_reason(changing, tmp_path, version):
    settings = context(leaf(), (issuing,) * 99, tmp_path, version)
    assert isinstance(ask(changing, settings, "any.test")[0], str)
    changing.await_log("client's certificate was refused", "more than 32 KiB of certificates", "reason=unreadable")
    eventually("the refusal is counted", lambda: refusals(changing, "any.test", "unreadable") == 1)


@pytest.fixture(scope="module")
def long_lists():
    """Lists of `root` that take long to parse, none of which names a client of these tests."""
    now, lists = datetime.datetime.now(datetime.timezone.utc), []
    for number in range(1, 5):
        builder = x509.CertificateRevocationListBuilder().issuer_name(root.subject).last_update(
            now - datetime.timedelta(days=1)).next_update(now + datetime.timedelta(days=9)).add_extension(
            x509.CRLNumber(number), critical=False)
        for serial in range(1, 10_000):
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(
                (number << 40) + serial).revocation_date(now - datetime.timedelta(days=2)).build())
        lists.append(builder.sign(root.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))
    return lists


@pytest.mark.parametrize("change", ["reload", "restart", "upgrade"])
def test_no_client_is_refused_while_lists_are_parsed(changing, long_lists, tmp_path, change):
    for number, content in enumerate(long_lists):
        (tmp_path / f"{number}.crl").write_bytes(content)
    changing.config["hosts"][0]["client_auth"]["crl_files"] = [
        str(tmp_path / f"{number}.crl") for number in range(len(long_lists))]
    settings, answers, is_over = context(leaf(), folder=tmp_path), [], threading.Event()

    def load():
        while not is_over.is_set():
            answers.append(ask(changing, settings, "any.test")[0])

    client = threading.Thread(target=load)
    client.start()
    try:
        changing.reload()
        if change == "upgrade":
            changing.upgrade()
        eventually("more requests", lambda count=len(answers): len(answers) > count + 5)
    finally:
        is_over.set()
        client.join()
    if change == "restart":
        changing.stop()
        changing.start()
        answers.append(ask(changing, settings, "any.test")[0])
    assert set(answers) == {200}


@pytest.mark.parametrize("content", [
    b"an error page", b"", None, revocation_list(Holder("issuing", is_ca=True))],
    ids=["no list", "empty", "missing", "of another key"])
def test_an_unusable_list_holds_up_no_other_file(run, make_origin, tmp_path, content):
    """Threat: a client or a CA that is withdrawn by one file stays in, since another file can't be used."""
    gone, revoked, good, foreign = leaf(), leaf(issuing), leaf(issuing), leaf(stranger)
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate, issuing.certificate, stranger.certificate))
    (tmp_path / "root.crl").write_bytes(revocation_list(root))
    (tmp_path / "issuing.crl").write_bytes(revocation_list(issuing, revoked))
    gateway = run([certified("any.test", upstreams=[make_origin().url], client_auth={
        "ca_file": str(tmp_path / "ca.pem"),
        "crl_files": [str(tmp_path / "issuing.crl"), str(tmp_path / "root.crl")]})], **LOCAL)
    shown = {holder: context(holder, folder=tmp_path) for holder in (gone, revoked, good, foreign)}
    assert [ask(gateway, settings, "any.test")[0] == 200 for settings in shown.values()] == [True, False, True, True]
    if content is None:
        (tmp_path / "issuing.crl").unlink()
    else:
        replace(tmp_path / "issuing.crl", content)
    gateway.await_log("error: clients' certificates can't be verified", "issuing.crl", "the former ones are used on")
    replace(tmp_path / "root.crl", revocation_list(root, gone, number=2))
    in_force(gateway, shown[gone], None)
    replace(tmp_path / "ca.pem", pem(root.certificate, issuing.certificate))
    in_force(gateway, shown[foreign], None)
    # A change of the CAs has no effect on the last good lists of the unusable file.
    assert isinstance(ask(gateway, shown[revoked], "any.test")[0], str)
    assert ask(gateway, shown[good], "any.test")[0] == 200
    replace(tmp_path / "issuing.crl", revocation_list(issuing, good, number=2))
    in_force(gateway, shown[good], None)
    eventually("no problem is left", lambda: gateway.metric("aegis_state_problems") == 0)


LOST = {
    "another CA's list": lambda: revocation_list(stranger),
    "an older list": lambda: revocation_list(root, days=(-2, 10), number=9),
    "both": lambda: revocation_list(stranger) + revocation_list(root, days=(-2, 10)),
}


@pytest.mark.parametrize("content", LOST)
def test_a_list_that_a_file_has_lost_stays_in_force(changing, tmp_path, content):
    """Threat: a wrong or an old file turns off revocation without a word."""
    revoked = context(holder := leaf(), folder=tmp_path)
    good = context(mate, folder=tmp_path)
    replace(tmp_path / "root.crl", revocation_list(root, holder, number=5))
    in_force(changing, revoked, None)
    replace(tmp_path / "root.crl", LOST[content]())
    changing.await_log("error: clients' certificates", "root.crl' has no list of 'CN=clients' any more, or only an older one")
    eventually("the problem is counted", lambda: changing.metric("aegis_state_problems") == 1)
    assert isinstance(ask(changing, revoked, "any.test")[0], str)
    assert ask(changing, good, "any.test")[0] == 200
    status = subprocess.run(
        [PROGRAMS / "aegis-apply", "status", "--check"], cwd=changing.folder, capture_output=True, text=True, timeout=PATIENCE)
    assert status.returncode != 0 and "has no list of 'CN=clients' any more" in status.stdout, status
    # Other rules of the host don't make the file a new one.
    changing.config["hosts"][0]["client_auth"]["required_sans"] = ["*.clients.test"]
    changing.reload()
    assert isinstance(ask(changing, revoked, "any.test")[0], str)
    replace(tmp_path / "root.crl", revocation_list(root, number=6))
    in_force(changing, revoked, 200)
    eventually("no problem is left", lambda: changing.metric("aegis_state_problems") == 0)


def test_an_apply_may_remove_a_list(changing, tmp_path):
    holder = leaf()
    settings = context(holder, folder=tmp_path)
    replace(tmp_path / "root.crl", revocation_list(root, holder, number=5))
    in_force(changing, settings, None)
    del changing.config["hosts"][0]["client_auth"]["crl_files"]
    changing.reload()
    assert ask(changing, settings, "any.test")[0] == 200
    # The list was forgotten, so an older one counts.
    replace(tmp_path / "root.crl", revocation_list(root, days=(-2, 10)))
    changing.config["hosts"][0]["client_auth"]["crl_files"] = [str(tmp_path / "root.crl")]
    changing.reload()
    assert ask(changing, settings, "any.test")[0] == 200
    assert changing.metric("aegis_state_problems") == 0


def test_lists_follow_a_ca_that_gets_another_key(changing, tmp_path):
    """A list of the CA's former key is no list of a CA that the file has lost."""
    new = Holder("clients", is_ca=True, usages=["key_cert_sign", "crl_sign"])
    settings = context(leaf(new), folder=tmp_path)
    replace(tmp_path / "ca.pem", pem(new.certificate))
    changing.await_log("error: clients' certificates can't be verified", "root.crl", "has not signed it")
    assert isinstance(ask(changing, settings, "any.test")[0], str)
    replace(tmp_path / "root.crl", revocation_list(new))
    in_force(changing, settings, 200)
    eventually("no problem is left", lambda: changing.metric("aegis_state_problems") == 0)
