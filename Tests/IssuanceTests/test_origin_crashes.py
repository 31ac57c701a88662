"""A process that gets a certificate from Cloudflare is killed, or loses the answer: no certificate is issued twice where
the issuer has a zone.

AEGIS_LONG=1 kills at every place where the state is written; else the test takes a sample.
"""

import os
import signal
import subprocess

import pytest

from cloudflare import ends_with, lose
from gateway import PATIENCE, PROGRAMS, eventually
from hosts import aegis_apply, age, killing_at, nothing_is_left, rows

LONG = bool(os.environ.get("AEGIS_LONG"))


def number(gateway):
    """The identifier of the stored certificate at Cloudflare, as a list. Empty if there is no certificate."""
    return [remote for (remote,) in rows(gateway, "SELECT remote_id FROM certificates")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_apply_killed_at_the_call_recovers(behind, cloudflare, after):
    gateway = behind()
    cloudflare.on_call("POST", "/certificates", ends_with(lambda: apply, after=after))
    apply = gateway.launch_apply()
    assert apply.wait(PATIENCE) == -signal.SIGKILL
    assert len(cloudflare.valid) == after
    gateway.apply()
    assert len(cloudflare.valid) == 1 and number(gateway) == cloudflare.valid
    assert nothing_is_left(gateway)
    assert "No changes" in gateway.apply()


@pytest.mark.parametrize("call, every", [("fdatasync", 5), ("pwrite64", 40)])
def test_an_apply_killed_as_it_writes_recovers(behind, cloudflare, call, every):
    kills = 0
    for place in range(1 if LONG else 3, 200, 1 if LONG else every):
        before = len(cloudflare.valid)
        gateway = behind(f"gateway{place}")
        done = gateway.run_apply(*killing_at(call, place))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
        gateway.apply()
        assert "No changes" in gateway.apply()
        assert len(cloudflare.valid) == before + 1, f"killed at {call} {place}"
        assert number(gateway) == cloudflare.valid[-1:]
    assert kills


def test_a_gateway_killed_as_it_renews_recovers(behind, cloudflare):
    gateway = behind()
    gateway.apply()
    [former] = number(gateway)
    age(gateway, "site")
    cloudflare.on_call("POST", "/certificates", ends_with(lambda: gateway.process, after=True))
    gateway.launch()
    eventually("its end", lambda: gateway.process.poll() is not None)
    gateway.process = None
    gateway.start()
    eventually("the other one", lambda: number(gateway) not in ([former], []), patience=60)
    assert len(cloudflare.valid) == 2 and number(gateway) == cloudflare.valid[1:]


def test_after_a_lost_answer_the_list_is_searched_at_once(behind, cloudflare):
    gateway = behind()
    cloudflare.on_call("POST", "/certificates", lose)
    gateway.apply()
    assert len(cloudflare.said("POST")) == 1 and number(gateway) == cloudflare.valid


def test_after_a_lost_answer_all_pages_of_the_list_are_searched(behind, cloudflare):
    gateway = behind()
    cloudflare.on_call("POST", "/certificates", lose)
    # Other certificates of the zone come first in the list.
    for index in range(60):
        cloudflare.certificates[str(index)] = {
            "id": str(index), "csr": "", "certificate": "", "hostnames": ["example.test"], "requested_validity": 7}
    gateway.apply()
    assert len(cloudflare.said("POST")) == 1 and number(gateway) == cloudflare.valid[-1:]


def test_without_a_zone_a_doubtful_order_is_not_repeated(behind, cloudflare):
    gateway = behind(zone_id=None)
    cloudflare.on_call("POST", "/certificates", lose)
    said = gateway.apply(expect=3, everything=True)
    assert "a certificate may have been issued" in said and "renew site --force" in said
    gateway.apply(expect=3)
    assert len(cloudflare.said("POST")) == 1
    # The operator decides how to continue.
    assert "given up" in aegis_apply(gateway, "renew", "site", "--force")
    gateway.apply()
    assert len(cloudflare.said("POST")) == 2 and number(gateway) == cloudflare.valid[-1:]


def test_without_a_zone_a_doubtful_renewal_waits_for_the_operator_too(behind, cloudflare):
    gateway = behind(zone_id=None)
    gateway.apply()
    cloudflare.on_call("POST", "/certificates", lose)
    assert "may have been issued" in aegis_apply(gateway, "renew", "site", "--force", expect=3)
    age(gateway, "site")
    assert "'site' is due, and waits until 20" in aegis_apply(gateway, "renew", "site", expect=3)
    assert "may have been issued" in gateway.apply(expect=3, everything=True)
    assert len(cloudflare.said("POST")) == 2
    assert "renewed" in aegis_apply(gateway, "renew", "site", "--force")
    assert len(cloudflare.said("POST")) == 3


@pytest.mark.parametrize("edit", ["slash", "order"])
def test_an_edit_without_effect_does_not_end_the_doubt(behind, cloudflare, edit):
    gateway = behind(zone_id=None)
    cloudflare.on_call("POST", "/certificates", lose)
    gateway.apply(expect=3)
    if edit == "slash":
        gateway.config["issuers"]["origin"]["base_url"] += "/"
    else:
        gateway.config["certificates"]["site"]["domains"].reverse()
    assert "may have been issued" in gateway.apply(expect=3, everything=True)
    assert len(cloudflare.said("POST")) == 1


def hide(call):
    """Carries out a call and answers as a proxy that has lost Cloudflare's answer."""
    call.carry_out()
    call.send(524, b"<html>a timeout occurred</html>")


def test_a_hidden_success_is_found_before_another_order(behind, cloudflare):
    gateway = behind()
    cloudflare.on_call("POST", "/certificates", hide)
    gateway.apply()
    assert len(cloudflare.said("POST")) == 1 and number(gateway) == cloudflare.valid


def test_a_success_hidden_without_a_zone_is_not_ordered_again(behind, cloudflare):
    gateway = behind(zone_id=None)
    cloudflare.on_call("POST", "/certificates", hide)
    assert "may have been issued" in gateway.apply(expect=3, everything=True)
    gateway.config["issuers"]["origin"]["zone_id"] = next(iter(cloudflare.zones))
    gateway.apply()
    assert len(cloudflare.said("POST")) == 1 and number(gateway) == cloudflare.valid


def test_a_zone_added_later_ends_the_doubt(behind, cloudflare):
    gateway = behind(zone_id=None)
    cloudflare.on_call("POST", "/certificates", lose)
    gateway.apply(expect=3)
    gateway.config["issuers"]["origin"]["zone_id"] = next(iter(cloudflare.zones))
    gateway.apply()
    assert len(cloudflare.said("POST")) == 1 and number(gateway) == cloudflare.valid


@pytest.mark.parametrize("status, code", [(400, 1100), (429, 971), (503, 0)])
def test_a_refusal_leaves_no_doubt(behind, cloudflare, status, code):
    gateway = behind(zone_id=None)
    cloudflare.refuse("POST", "/certificates", status, code, "No", Retry_After="90")
    assert "may have been issued" not in gateway.apply(expect=3, everything=True)
    gateway.apply()
    assert number(gateway) == cloudflare.valid


def test_two_simultaneous_applies_order_once(behind, cloudflare):
    gateway = behind()
    applies = [gateway.launch_apply() for _ in range(2)]
    codes = sorted(apply.wait(PATIENCE) for apply in applies)
    assert codes in ([0, 0], [0, 75]) and len(cloudflare.valid) == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_before_a_revocation_does_not_lose_it(behind, cloudflare, after):
    gateway = behind(revoke_replaced=True)
    gateway.apply()
    [former] = cloudflare.valid
    cloudflare.on_call("DELETE", "/certificates/", ends_with(lambda: renewal, after=after))
    renewal = subprocess.Popen([PROGRAMS / "aegis-apply", "renew", "site", "--force"], cwd=gateway.folder)
    assert renewal.wait(PATIENCE) == -signal.SIGKILL
    gateway.apply()
    assert former not in cloudflare.valid and number(gateway) == cloudflare.valid
    assert rows(gateway, "SELECT * FROM superseded") == []
