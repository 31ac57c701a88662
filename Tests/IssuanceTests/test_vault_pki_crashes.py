"""A process that gets a certificate from Vault is killed, or loses the answer: the same request is sent again, and no key is
ever in the state unsealed.

AEGIS_LONG=1 kills at every place where the state is written; else the test takes a sample.
"""

import base64
import os
import signal
import subprocess

import pytest

from gateway import PATIENCE, PROGRAMS, eventually
from hosts import aegis_apply, age, killing_at, nothing_is_left, rows
from proxy import ends_with
from vault_site import PLAIN, leaf, make_sites, private_number

site = pytest.fixture(make_sites)

LONG = bool(os.environ.get("AEGIS_LONG"))


def kept_bytes(gateway):
    """The content of the state's files."""
    return b"".join(path.read_bytes() for path in sorted(gateway.folder.glob("state.db*")))


def check_resumption(gateway, vault, calls, where):
    """Applies again after a kill, and checks the result.

    `calls`: how many requests had been signed before. The same request must be sent again, but only if its certificate
    is not stored. The key must never be in the state unsealed.
    """
    left = kept_bytes(gateway)
    had = bool(rows(gateway, "SELECT count(*) FROM sqlite_schema WHERE name = 'certificates'")[0][0]) and leaf(gateway)
    begun = [order for (order,) in rows(gateway, "SELECT request FROM orders")] if had is not False else []
    gateway.apply()
    assert "No changes" in gateway.apply(), where
    signed = vault.signed
    assert len(signed) == calls + (0 if had else 1), where
    if begun:
        requests = {pem_to_der(body["csr"]) for body in signed}
        assert requests == set(begun), where
    assert nothing_is_left(gateway), where
    number = private_number(gateway)
    for held in (left, kept_bytes(gateway)):
        assert number not in held and b"PRIVATE KEY" not in held, where


def pem_to_der(text):
    return base64.b64decode("".join(text.strip().splitlines()[1:-1]))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_apply_killed_at_the_call_recovers(site, vault, after):
    gateway = site()
    vault.on_call("/sign/", ends_with(lambda: apply, after=after))
    apply = gateway.launch_apply()
    assert apply.wait(PATIENCE) == -signal.SIGKILL
    check_resumption(gateway, vault, 1, "at the call")
    assert len({body["csr"] for body in vault.signed}) == 1, "the same request is sent again"


@pytest.mark.parametrize("call, every", [("fdatasync", 5), ("pwrite64", 40)])
def test_an_apply_killed_as_it_writes_recovers(site, vault, call, every):
    kills = 0
    for place in range(1 if LONG else 3, 200, 1 if LONG else every):
        vault.reset()
        gateway = site(f"gateway{place}")
        gateway.config["hosts"] = [PLAIN]
        certificates = gateway.config.pop("certificates")
        gateway.apply()
        gateway.config["certificates"] = certificates
        done = gateway.run_apply(*killing_at(call, place))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
        check_resumption(gateway, vault, len(vault.signed), f"killed at {call} {place}")
    assert kills


def test_a_call_with_a_lost_answer_is_repeated_once(site, vault):
    def lose(call):
        call.pass_on()
        call.hang_up()

    gateway = site()
    vault.on_call("/sign/", lose)
    said = gateway.apply(everything=True)
    assert len({body["csr"] for body in vault.signed}) == 1 and len(vault.signed) == 2
    assert "may have signed a certificate that nobody uses" in said


def test_a_gateway_killed_as_it_renews_recovers(site, vault):
    gateway = site()
    gateway.apply()
    former = leaf(gateway)
    age(gateway, "site")
    vault.reset()
    vault.on_call("/sign/", ends_with(lambda: gateway.process, after=True))
    gateway.launch()
    eventually("its end", lambda: gateway.process.poll() is not None)
    gateway.process = None
    gateway.start()
    eventually("another one", lambda: leaf(gateway) != former, patience=60)
    assert len(vault.signed) == 2 and len({body["csr"] for body in vault.signed}) == 1
    assert private_number(gateway) not in kept_bytes(gateway)


@pytest.mark.parametrize("place", range(1, 30) if LONG else [2, 5, 8, 12])
def test_a_renewal_killed_as_it_writes_recovers(site, vault, place):
    gateway = site()
    gateway.apply()
    former = leaf(gateway)
    vault.reset()
    subprocess.run(
        [*killing_at("fdatasync", place), PROGRAMS / "aegis-apply", "renew", "site", "--force"], cwd=gateway.folder,
        capture_output=True, timeout=PATIENCE * 2)
    if leaf(gateway) == former:
        calls = len(vault.signed)
        aegis_apply(gateway, "renew", "site", "--force")
        assert len(vault.signed) == calls + 1 and len({body["csr"] for body in vault.signed}) == 1
    assert nothing_is_left(gateway) and leaf(gateway) != former
    assert private_number(gateway) not in kept_bytes(gateway)


def test_two_simultaneous_applies_order_once(site, vault):
    gateway = site()
    applies = [gateway.launch_apply() for _ in range(2)]
    codes = sorted(apply.wait(PATIENCE) for apply in applies)
    assert codes in ([0, 0], [0, 75]) and len(vault.signed) == 1
