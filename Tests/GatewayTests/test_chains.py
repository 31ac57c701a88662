"""The chains that clients are shown when certificates begin and end at different times, in any order and number."""

import itertools
import random
import socket
import ssl
import subprocess

from authority import Holder, pem
from gateway import PATIENCE, Gateway

LONG, OVER, EARLY = (-400, 400), (-400, -1), (-400, 20)


def twin(name, issuer, key, days):
    """Another certificate of an authority's name and key."""
    return Holder(name, issuer, is_ca=True, days=days, key=key)


def verdict(folder, given, root):
    """Whether `openssl verify` accepts the first certificate, a leaf, with the others as intermediates."""
    leaf, *others = [holder.certificate for holder in given]
    (folder / "leaf").write_bytes(pem(leaf))
    (folder / "others").write_bytes(pem(*others))
    (folder / "root").write_bytes(pem(root.certificate))
    beside = ["-untrusted", "others"] if others else []
    return subprocess.run(
        ["openssl", "verify", "-trusted", "root", *beside, "leaf"], cwd=folder, capture_output=True).returncode == 0


def accepts(port, name, context):
    """Whether a client accepts the certificates it is shown."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            with context.wrap_socket(connection, server_hostname=name):
                return True
        except ssl.SSLCertVerificationError:
            return False


def test_a_client_accepts_the_sent_chain_if_openssl_accepts_the_given_certificates(tmp_path):
    old = Holder("old", is_ca=True, days=LONG)
    root = Holder("root", is_ca=True, days=LONG)
    upper = Holder("upper", root, is_ca=True, days=LONG)
    lower = Holder("lower", upper, is_ca=True, days=LONG)
    cross = {days: twin("root", old, root.key, days) for days in (LONG, OVER, EARLY)}
    expired_root = twin("root", None, root.key, OVER)
    uppers = [[], [upper], [twin("upper", root, upper.key, OVER), upper], [twin("upper", root, upper.key, OVER)]]
    lowers = [[], [lower], [twin("lower", upper, lower.key, OVER), twin("lower", upper, lower.key, EARLY)],
              [twin("lower", upper, lower.key, OVER)]]
    tops = [[], [root], [expired_root], [cross[LONG]], [cross[OVER]], [cross[OVER], root], [cross[EARLY], root]]
    given = {}
    mixer = random.Random(7)
    for number, sets in enumerate(itertools.product(lowers, uppers, tops)):
        # A gap in a chain is refused; Swift's tests cover that.
        if any(sets[1]) and not sets[0] or any(sets[2]) and not (sets[0] and sets[1]):
            continue
        name = f"c{number}.test"
        given[name] = [Holder(name, lower, names=[name]), *itertools.chain(*sets)]
    assert len(given) > 60
    gateway = Gateway(
        tmp_path / "gateway",
        [{"domain": name, "ssl_mode": "custom", "certificate": name, "respond": {"body": name}} for name in given],
        certificates={name: {"source": "custom", "cert": {"file": f"{name}.pem"}, "key": {"file": f"{name}.key"}}
                      for name in given})
    for name, holders in given.items():
        mixed = mixer.sample(holders, len(holders))
        (gateway.folder / f"{name}.pem").write_bytes(pem(*(holder.certificate for holder in mixed)))
        (gateway.folder / f"{name}.key").write_bytes(holders[0].key_pem)
    gateway.apply()
    gateway.start()
    try:
        for trusted in (root, old):
            context = ssl.create_default_context(cadata=pem(trusted.certificate).decode())
            context.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
            seen = {name: accepts(gateway.https, name, context) for name in given}
            told = {name: verdict(tmp_path, holders, trusted) for name, holders in given.items()}
            # A client that knows only the older root loses a cross-sign that ends before a root in the same chain.
            worse = {name for name in given if told[name] and not seen[name]}
            assert all(trusted is old and cross[EARLY] in given[name] for name in worse), worse
            assert any(seen.values()) and not all(seen.values())
    finally:
        gateway.stop()
