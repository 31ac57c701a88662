"""A revoked certificate is reported, replaced, and served until its replacement is in force."""

import json
import signal
import subprocess
import threading

import pytest

from gateway import PATIENCE, PROGRAMS, eventually
from hosts import aegis_apply, age, host, nothing_is_left, rows, serial, shown
from test_apply import aegis, renew

OTHER = {"domain": "other.test", "respond": {"body": "other"}}


def revoke(gateway, name, expect=0):
    done = aegis(gateway, "certificates", "revoke", name, "--reason", "superseded")
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def told_as_revoked(gateway, name="app.test", words="was revoked on 20"):
    """Checks that status, list and show report the revocation."""
    assert f"its certificate {words}" in aegis_apply(gateway, "status", "--check", expect=3)
    assert words in aegis_apply(gateway, "certificates", "list")
    assert words in aegis_apply(gateway, "certificates", "show", name)
    shown = json.loads(aegis_apply(gateway, "certificates", "show", name, "--format", "json"))
    assert shown["problem"].startswith(words)


def told_as_well(gateway):
    aegis_apply(gateway, "status", "--check")
    assert "No changes" in aegis_apply(gateway, "--dry-run")
    assert "revoked" not in aegis_apply(gateway, "certificates", "list")


def plan(gateway):
    (gateway.folder / "aegis.yaml").write_text(json.dumps(gateway.config))
    return json.loads(aegis_apply(gateway, "--dry-run", "--format", "json"))["changes"]


def test_status_plan_and_renew_know_a_revoked_certificate(site):
    gateway, ca = site([host("app.test"), host("good.test")])
    gateway.apply()
    said = revoke(gateway, "app.test")
    assert "Gateways serve it until a running gateway replaces it" in said
    told_as_revoked(gateway)
    [change] = plan(gateway)
    assert (change["action"], change["name"]) == ("issue", "app.test")
    assert change["reason"].startswith("was revoked on 20")
    # The renewal needs no --force.
    assert "app.test: renewed" in renew(gateway).stderr
    told_as_well(gateway)
    revoke(gateway, "good.test")
    assert "1 issued" in gateway.apply()
    told_as_well(gateway)
    assert len(ca.issued) == 4


def test_a_gateway_serves_a_revoked_certificate_until_it_has_a_new_one(stand):
    gateway = stand.gateway([host("app.test")])
    gateway.apply()
    gateway.start()
    try:
        before = serial(gateway, "app.test")
        silence = threading.Event()
        seen = threading.Event()

        def silent(call):
            seen.set()
            silence.wait(PATIENCE * 5)
            call.answer(*call.pass_on())

        stand.proxy.arm(None, silent, "/order-plz")
        revoke(gateway, "app.test")
        # The gateway orders another certificate by itself.
        assert seen.wait(PATIENCE * 3)
        assert serial(gateway, "app.test") == before
        told_as_revoked(gateway)
        silence.set()
        eventually("another one", lambda: serial(gateway, "app.test") != before)
        assert shown(gateway, stand.ca, "app.test") == "app.test"
        eventually("the end of the order", lambda: nothing_is_left(gateway))
        told_as_well(gateway)
    finally:
        stand.proxy.arm(None, None)
        silence.set()
        gateway.stop()


def test_a_revoked_certificate_without_auto_renew_is_reported_and_stays(site):
    gateway, ca = site(
        [{"domain": "app.test", "ssl_mode": "custom", "certificate": "mine", "respond": {"body": "app.test"}}],
        certificates={"mine": {"issuer": "letsencrypt", "domains": ["app.test"], "auto_renew": False}})
    gateway.apply()
    assert "don't replace it, since its auto_renew is false. To replace it, run: aegis-apply renew mine --force" in revoke(gateway, "mine")
    told_as_revoked(gateway, "mine")
    assert plan(gateway) == []
    words = "certificate 'mine' was revoked on 20"
    for arguments in (["--dry-run"], []):
        said = aegis_apply(gateway, *arguments)
        assert words in said and "and is not renewed: its auto_renew is false" in said
        assert "'aegis-apply renew mine --force' reissues it" in said
    assert words in aegis_apply(gateway, "--dry-run", "--strict", expect=3)
    assert "hint: its auto_renew is false; --force reissues it" in renew(gateway, "mine").stderr
    assert renew(gateway).stdout == "Nothing is due.\n"
    assert "mine: renewed" in renew(gateway, "mine", "--force").stderr
    assert len(ca.issued) == 2
    told_as_well(gateway)
    # The new certificate too is renewed only with --force.
    assert renew(gateway, "mine").returncode == 1


def test_renew_reports_a_revoked_certificate_whose_replacement_failed(odd):
    gateway, ca = odd()
    gateway.apply()
    revoke(gateway, "app.test")
    ca.twist = lambda kind, answer: answer.problem("malformed", "Not now") if kind == "new-order" else None
    assert renew(gateway).returncode == 3
    asked = ca.new_orders
    words = "'app.test' is due, and waits until 20"
    done = renew(gateway)
    assert done.returncode == 0 and done.stdout.startswith(words) and "Not now" in done.stdout
    assert "hint: with its name and --force one is tried at once" in done.stderr
    done = renew(gateway, "app.test")
    assert done.returncode == 3 and done.stdout.startswith(words)
    assert ca.new_orders == asked
    ca.twist = lambda kind, answer: None
    assert renew(gateway, "app.test", "--force").returncode == 0
    told_as_well(gateway)


def test_a_failed_forced_renewal_is_no_problem_of_a_good_certificate(odd):
    gateway, ca = odd()
    gateway.apply()
    ca.twist = lambda kind, answer: answer.problem("malformed", "Not now") if kind == "new-order" else None
    assert renew(gateway, "app.test", "--force").returncode == 3
    assert "note: certificate app.test could not be obtained once; next try 20" in aegis_apply(gateway, "status", "--check")
    [failing] = json.loads(aegis_apply(gateway, "status", "--format", "json"))["failing"]
    assert not failing["is_problem"]
    assert renew(gateway, "app.test").stdout == "Nothing is due.\n"
    # When the certificate is due, the failure is a problem.
    age(gateway, "app.test")
    [failing] = json.loads(aegis_apply(gateway, "status", "--check", "--format", "json", expect=3))["failing"]
    assert failing["is_problem"]
    assert "problem: certificate app.test could not be obtained once" in aegis_apply(gateway, "status", "--check", expect=3)


def test_a_revoked_certificate_of_a_disabled_host_is_replaced_when_it_is_enabled(site):
    gateway, ca = site([host("app.test"), OTHER])
    gateway.apply()
    gateway.host("app.test")["enabled"] = False
    gateway.apply()
    assert "disabled" in aegis_apply(gateway, "status", "--check")
    said = revoke(gateway, "app.test")
    assert "replaced when the host is enabled" in said and "sees to" not in said
    assert "was revoked on 20" in aegis_apply(gateway, "certificates", "list")
    assert plan(gateway) == []
    said = aegis_apply(gateway, "status", "--check")
    assert "disabled; its certificate was revoked on 20" in said and "PROBLEM" not in said and "NOTE" in said
    assert "is replaced when the host is enabled" in said
    report = json.loads(aegis_apply(gateway, "status", "--format", "json"))
    [entry] = [entry for entry in report["hosts"] if entry["host"] == "app.test"]
    assert entry["problem"] is None and entry["note"].startswith("disabled; its") and not report["has_problem"]
    gateway.host("app.test")["enabled"] = True
    gateway.apply()
    assert len(ca.issued) == 2
    told_as_well(gateway)


def test_a_missing_certificate_of_a_disabled_host_is_no_problem(odd):
    gateway, ca = odd(lambda kind, answer: answer.problem("malformed", "Not now") if kind == "new-order" else None)
    gateway.apply(expect=3)
    aegis_apply(gateway, "status", "--check", expect=3)
    gateway.host("app.test")["enabled"] = False
    gateway.apply()
    said = aegis_apply(gateway, "status", "--check")
    assert "PROBLEM" not in said and "problem" not in said
    assert "note: certificate app.test could not be obtained once: " in said


def test_a_revoked_kept_certificate_is_not_used_again(site):
    gateway, ca = site([host("app.test"), host("good.test"), OTHER])
    gateway.apply()
    gateway.config["hosts"] = [OTHER]
    gateway.apply()
    assert "It will not be used again" in revoke(gateway, "app.test")
    again, lost = aegis_apply(gateway, "status", "--check").splitlines()[-2:]
    assert again.startswith("kept for when they come back, not served: good.test (since 20") and "app.test" not in again
    assert lost.startswith("kept, not served and not used again: app.test (was revoked on 20")
    kept = json.loads(aegis_apply(gateway, "status", "--format", "json"))["kept_certificates"]
    assert [bool(entry["problem"]) for entry in kept] == [True, False]


def test_a_revocation_with_a_lost_answer_is_recorded_by_the_next_try(stand):
    gateway = stand.gateway([host("app.test")])
    gateway.apply()

    command = [PROGRAMS / "aegis-apply", "certificates", "revoke", "app.test", "--reason", "superseded"]

    def lose(call):
        call.pass_on()
        process.kill()
        call.hang_up()

    # The program ends before the answer comes; otherwise it would repeat the request for a minute.
    stand.proxy.arm(1, lose, "/revoke-cert")
    with subprocess.Popen(command, cwd=gateway.folder) as process:
        assert process.wait(PATIENCE) == -signal.SIGKILL
    assert "was revoked" not in aegis_apply(gateway, "status")
    # A program that gets no answer repeats the request.
    stand.proxy.arm(1, lambda call: call.hang_up(), "/revoke-cert")
    assert "Revoked 'app.test'" in revoke(gateway, "app.test")
    told_as_revoked(gateway)
    # A revoked certificate is not kept when its host is removed.
    gateway.config["hosts"] = [OTHER]
    gateway.apply()
    assert rows(gateway, "SELECT count(*) FROM kept_certificates") == [(0,)]


def test_a_stopped_revocation_says_that_its_result_is_unknown(stand):
    gateway = stand.gateway([host("app.test")])
    gateway.apply()
    command = [PROGRAMS / "aegis-apply", "certificates", "revoke", "app.test", "--reason", "superseded"]

    def stop(call):
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        call.hang_up()

    stand.proxy.arm(1, stop, "/revoke-cert")
    with subprocess.Popen(command, cwd=gateway.folder, stderr=subprocess.PIPE, text=True) as process:
        said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == -signal.SIGINT
    assert "stopped by SIGINT; whether 'app.test' is revoked is not known" in said
    assert "Revoked 'app.test'" in revoke(gateway, "app.test")


def test_a_revoked_certificate_of_cloudflare_is_replaced_too(behind, cloudflare):
    gateway = behind()
    gateway.apply()
    revoke(gateway, "site")
    assert cloudflare.valid == []
    told_as_revoked(gateway, "site")
    assert "1 issued" in gateway.apply()
    assert len(cloudflare.valid) == 1
    told_as_well(gateway)


@pytest.mark.parametrize("is_gone", [False, True])
def test_the_result_of_a_refresh_is_stored_even_if_the_replacement_fails(behind, cloudflare, is_gone):
    gateway = behind()
    gateway.apply()
    [number] = cloudflare.valid
    if is_gone:
        del cloudflare.certificates[number]
    else:
        cloudflare.revoke(number)
    cloudflare.refuse("POST", "/certificates", 403, 9109, "Not now")
    assert "Not now" in aegis_apply(gateway, "--refresh", expect=3)
    words = "is no longer at Cloudflare" if is_gone else "was revoked at Cloudflare on 20"
    told_as_revoked(gateway, "site", words)
    [change] = plan(gateway)
    assert change["reason"].startswith(words)
    gateway.apply()
    told_as_well(gateway)
