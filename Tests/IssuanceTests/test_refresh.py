"""`aegis-apply --refresh`: what the file changes comes first, then what providers have lost is replaced."""

import re
import signal

import pytest

from gateway import PATIENCE, eventually
from hosts import aegis_apply, host, rows
from scripted_ca import ScriptedCA
from test_sick_cas import Silence, applying, plain


def generations(gateway):
    return rows(gateway, "SELECT outcome FROM generations ORDER BY number")


@pytest.fixture
def held(cloudflare):
    """Calls that wait until the test lets them through; then they are carried out."""
    fault = Silence()

    def hold(call):
        fault.calls.release()
        fault.over.wait(PATIENCE * 5)
        call.answer(*call.carry_out())

    hold.calls, hold.over = fault.calls, fault.over
    yield hold
    fault.over.set()


def test_changes_and_losses_are_two_plans_of_one_apply(behind, cloudflare):
    gateway = behind()
    gateway.config["hosts"].append(plain("a.test", "old"))
    gateway.apply()
    cloudflare.certificates.clear()
    gateway.host("a.test")["respond"]["body"] = "new"
    with applying(gateway, "--refresh") as apply:
        stdout, stderr = apply.communicate(timeout=PATIENCE)
    assert apply.returncode == 0, stderr
    parts = ["~ host a.test", "Applied generation 2: 1 updated.", "certificate site: issue (is no longer at Cloudflare)",
             "Applied generation 3: 1 issued."]
    assert [stdout.index(part) for part in parts] == sorted(stdout.index(part) for part in parts)
    assert generations(gateway) == [("complete",)] * 3 and len(cloudflare.valid) == 1
    assert "No changes" in aegis_apply(gateway, "--refresh")


def test_a_dry_run_does_not_wait_long_for_a_busy_provider(behind, cloudflare):
    gateway = behind()
    gateway.apply()
    cloudflare.refuse("GET", "/certificates/", 429, 971, "Slow down", times=9, Retry_After="20")
    said = aegis_apply(gateway, "--dry-run", "--refresh")
    assert "certificate 'site' could not be refreshed: " in said and "try again in 20 s" in said, said
    assert len([call for call in cloudflare.said("GET", "/certificates/")]) == 1


def test_a_first_apply_may_refresh(behind, cloudflare):
    gateway = behind()
    with applying(gateway, "--refresh") as apply:
        stdout, stderr = apply.communicate(timeout=PATIENCE)
    assert apply.returncode == 0, stderr
    assert "Applied generation 1" in stdout and "No changes" not in stdout and len(cloudflare.valid) == 1


def test_a_certificate_that_has_failed_is_not_tried_again_by_the_second_plan(behind, cloudflare, tmp_path):
    gateway = behind()
    gateway.apply()
    ca = ScriptedCA(tmp_path / "ca", lambda kind, answer: answer.problem("malformed", "no") if kind == "new-order" else 0)
    try:
        gateway.config["issuers"]["letsencrypt"] = ca.issuer
        gateway.config["hosts"].append(host("new.test"))
        cloudflare.certificates.clear()
        with applying(gateway, "--refresh") as apply:
            stdout, stderr = apply.communicate(timeout=PATIENCE)
        assert apply.returncode == 3, stdout + stderr
        assert ca.new_orders == 1 and len(cloudflare.valid) == 1
        assert stdout.count("certificate new.test") == 1
        # The generation that replaces the loss does not hide that the file is not whole in force.
        assert generations(gateway) == [("complete",), ("partial",), ("partial",)]
    finally:
        ca.stop()


def test_a_certificate_that_is_replaced_while_its_provider_is_asked_is_not_replaced_again(behind, cloudflare, held):
    gateway = behind()
    gateway.apply()
    [former] = cloudflare.valid
    cloudflare.revoke(former)
    cloudflare.on_call("GET", f"/certificates/{former}", held)
    with applying(gateway, "--refresh") as apply:
        assert held.calls.acquire(timeout=PATIENCE)
        aegis_apply(gateway, "renew", "site", "--force")
        held.over.set()
        stdout, stderr = apply.communicate(timeout=PATIENCE)
    assert apply.returncode == 0, stderr
    assert "No changes" in stdout and len(cloudflare.certificates) == 2


@pytest.mark.parametrize("changes", [False, True])
def test_a_stopped_refresh_says_what_was_not_refreshed(behind, cloudflare, held, changes):
    gateway = behind()
    gateway.apply()
    if changes:
        gateway.host("app.example.test")["respond"]["body"] = "new"
    cloudflare.on_call("GET", "/certificates/", held)
    with applying(gateway, "--refresh") as apply:
        assert held.calls.acquire(timeout=PATIENCE)
        apply.send_signal(signal.SIGTERM)
        stdout, stderr = apply.communicate(timeout=PATIENCE)
    assert apply.returncode == -signal.SIGTERM
    assert ("Applied generation 2: 1 updated." in stdout) == changes
    assert "stopped by SIGTERM; not refreshed: certificate site\n" in stderr


# MARK: Other work at providers after the commits.


def test_another_apply_may_begin_while_a_former_certificate_is_revoked(behind, cloudflare, held):
    gateway = behind(revoke_replaced=True)
    gateway.config["hosts"].append(plain("a.test", "old"))
    gateway.apply()
    [former] = cloudflare.valid
    gateway.config["certificates"]["site"]["domains"] = ["app.example.test"]
    cloudflare.on_call("DELETE", "/certificates/", held)
    with applying(gateway) as apply:
        assert held.calls.acquire(timeout=PATIENCE)
        assert re.search("^Applied generation 2: ", read_until(apply.stdout, "Applied"), re.M)
        line = read_until(apply.stderr, "still waiting").splitlines()[-1]
        assert re.fullmatch(r"  still waiting for the revocation of former certificates \(\d+ s: no answer yet\)", line), line
        gateway.host("a.test")["respond"]["body"] = "new"
        with applying(gateway) as other:
            eventually("the other's commit", lambda: generations(gateway)[2:] == [("complete",)] or other.poll())
            other.kill()
        apply.send_signal(signal.SIGINT)
        apply.communicate(timeout=PATIENCE)
    assert apply.returncode == -signal.SIGINT
    # The certificate is revoked once the call arrives, or by the next apply.
    assert rows(gateway, "SELECT certificate FROM superseded") == [("site",)]
    held.over.set()
    rows(gateway, "UPDATE superseded SET next_try_at = 0")
    assert "Revoked the former certificate" in gateway.apply()
    assert former not in cloudflare.valid


def read_until(stream, words):
    said = ""
    for line in iter(stream.readline, ""):
        said += line
        if words in line:
            break
    return said


def test_packs_that_are_followed_without_a_change_may_be_stopped(edge_site, cloudflare):
    cloudflare.steps = ("pending_validation",) * 100_000
    gateway = edge_site(wait="1h")
    with applying(gateway) as apply:
        eventually("the follow-up", lambda: cloudflare.said("GET", "/ssl/certificate_packs/"))
        apply.send_signal(signal.SIGINT)
        apply.communicate(timeout=PATIENCE)
    before = len(cloudflare.said("GET", "/ssl/certificate_packs/"))
    with applying(gateway) as apply:
        eventually("the follow-up", lambda: len(cloudflare.said("GET", "/ssl/certificate_packs/")) > before)
        apply.send_signal(signal.SIGINT)
        stdout, stderr = apply.communicate(timeout=PATIENCE)
    assert apply.returncode == -signal.SIGINT
    assert "No changes" in stdout
    assert "stopped by SIGINT; not finished: edge_certificate edge\n" in stderr
