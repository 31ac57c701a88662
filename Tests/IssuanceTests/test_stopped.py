"""An apply, a renewal or a gateway that is stopped while a CA answers: what the CA has done is known afterwards."""

import contextlib
import os
import signal
import subprocess

import pytest

from client import Client, tls_context
from gateway import PATIENCE, PROGRAMS, eventually
from hosts import aegis_apply, age, host, nothing_is_left, rows
from test_sick_cas import Silence, applying, busy, silence


class Late(Silence):
    """A fault: the CA performs the call, and answers when the test says so."""

    def __call__(self, call):
        answer = call.pass_on()
        self.calls.release()
        self.over.wait(PATIENCE * 5)
        call.answer(*answer)


@pytest.fixture
def late(stand):
    fault = Late()
    yield fault
    fault.over.set()
    stand.proxy.arm(None, None)


def asked(stand, path):
    return sum(called.startswith(path) for method, called in stand.proxy.calls if method == "POST")


def is_told(process, words):
    return any(words in line for line in iter(process.stderr.readline, ""))


def stays(process):
    """Whether a process waits for the answer. A process that does not wait ends at once."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
    return process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("path", ["/sign-me-up", "/order-plz", "/finalize-order"])
def test_a_request_in_progress_when_an_apply_is_stopped_is_sent_once(stand, late, path, number):
    before = len(stand.ca.issued)
    gateway = stand.gateway([host("app.test")])
    stand.proxy.arm(1, late, path)
    with applying(gateway) as apply:
        assert late.calls.acquire(timeout=PATIENCE)
        apply.send_signal(number)
        assert is_told(apply, f"{number.name}: ends after the work in progress")
        if path != "/finalize-order":
            what = "a new account" if path == "/sign-me-up" else "a new order"
            assert is_told(apply, f"waits up to 15 s for a CA's answer to {what}; another signal ends it at once\n")
            assert stays(apply)
            late.over.set()
        _, stderr = apply.communicate(timeout=PATIENCE)
    assert apply.returncode == -number
    late.over.set()
    assert "not in force: certificate app.test, host app.test\n" in stderr
    # Nothing that needs the answer has begun.
    assert path != "/order-plz" or asked(stand, "/chalZ") == 0
    calls = asked(stand, path), asked(stand, "/order-plz")
    stand.proxy.arm(None, None)
    gateway.apply()
    assert (calls[0] + asked(stand, path), calls[1] + asked(stand, "/order-plz")) == (1, 1)
    assert len(stand.ca.issued) == before + 1
    assert nothing_is_left(gateway)


@pytest.mark.parametrize("path", ["/dir", "/nonce-plz", "/authZ", "/chalZ"])
def test_an_answer_that_nobody_needs_later_is_not_waited_for(stand, silence, path):
    gateway = stand.gateway([host("app.test")])
    stand.proxy.arm(None, silence, path)
    with applying(gateway) as apply:
        assert silence.calls.acquire(timeout=PATIENCE)
        apply.send_signal(signal.SIGINT)
        _, stderr = apply.communicate(timeout=PATIENCE)
    assert apply.returncode == -signal.SIGINT and not silence.over.is_set()
    assert "ends after the work in progress" in stderr and "waits up to" not in stderr


def test_many_orders_open_when_an_apply_is_stopped_are_all_resumed(stand, late):
    gateway = stand.gateway([host(f"app{number}.test") for number in range(6)])
    before = len(stand.ca.issued)
    stand.proxy.arm(None, late, "/order-plz")
    with applying(gateway) as apply:
        for _ in range(4):
            assert late.calls.acquire(timeout=PATIENCE)
        apply.send_signal(signal.SIGINT)
        assert is_told(apply, "SIGINT: ends after the work in progress")
        assert is_told(apply, "waits up to 15 s for a CA's answer to a new order (")
        assert stays(apply)
        late.over.set()
        apply.communicate(timeout=PATIENCE)
    assert apply.returncode == -signal.SIGINT
    calls = asked(stand, "/order-plz")
    assert rows(gateway, "SELECT count(*) FROM orders WHERE url <> ''") == [(calls,)]
    stand.proxy.arm(None, None)
    gateway.apply()
    assert calls + asked(stand, "/order-plz") == 6 and len(stand.ca.issued) == before + 6


def test_a_renewal_stopped_during_its_order_is_resumed(stand, late):
    gateway = stand.gateway([host("app.test")])
    gateway.apply()
    before = len(stand.ca.issued)
    stand.proxy.arm(1, late, "/order-plz")
    renewal = subprocess.Popen(
        [PROGRAMS / "aegis-apply", "renew", "app.test", "--force"], cwd=gateway.folder, text=True,
        stderr=subprocess.PIPE)
    try:
        assert late.calls.acquire(timeout=PATIENCE)
        renewal.send_signal(signal.SIGINT)
        assert is_told(renewal, "SIGINT: ends after the work in progress")
        assert stays(renewal)
        late.over.set()
        _, stderr = renewal.communicate(timeout=PATIENCE)
    finally:
        renewal.kill()
    assert renewal.returncode == -signal.SIGINT and "not renewed: certificate app.test" in stderr
    # A stop does not count as a failure, so the next try need not wait.
    assert rows(gateway, "SELECT failures FROM renewals WHERE failures > 0") == []
    calls = asked(stand, "/order-plz")
    stand.proxy.arm(None, None)
    aegis_apply(gateway, "renew", "app.test", "--force")
    assert calls + asked(stand, "/order-plz") == 1 and len(stand.ca.issued) == before + 1


def test_an_order_of_an_ending_gateway_is_resumed(stand, late):
    gateway = stand.gateway([host("app.test")])
    gateway.apply()
    before = len(stand.ca.issued)
    age(gateway, "app.test")
    stand.proxy.arm(1, late, "/order-plz")
    gateway.start()
    try:
        assert late.calls.acquire(timeout=PATIENCE)
        gateway.process.send_signal(signal.SIGTERM)
        gateway.await_log("ending: requests under way")
        assert stays(gateway.process)
        late.over.set()
        assert gateway.process.wait(PATIENCE) == 0
    finally:
        late.over.set()
        gateway.stop()
    assert rows(gateway, "SELECT url <> '' FROM orders") == [(1,)]
    assert rows(gateway, "SELECT failures FROM renewals WHERE failures > 0") == []
    calls = asked(stand, "/order-plz")
    stand.proxy.arm(None, None)
    gateway.start()
    try:
        eventually("the renewal", lambda: len(stand.ca.issued) == before + 1 and nothing_is_left(gateway))
        with Client(gateway.https, tls_context(stand.ca.root()), "app.test") as client:
            assert client.get("app.test").status == 200
    finally:
        gateway.stop()
    assert calls + asked(stand, "/order-plz") == 1


def test_a_silent_ca_does_not_keep_a_stopped_apply(stand, late):
    gateway = stand.gateway([host("app.test")])
    stand.proxy.arm(None, late, "/order-plz")
    with applying(gateway) as apply:
        assert late.calls.acquire(timeout=PATIENCE)
        apply.send_signal(signal.SIGINT)
        apply.communicate(timeout=PATIENCE * 2)
    assert apply.returncode == -signal.SIGINT


def test_a_busy_ca_with_retry_after_does_not_keep_a_stopped_apply(odd):
    gateway, ca = odd(busy)
    with applying(gateway) as apply:
        assert is_told(apply, "asked again after 50 s")
        apply.send_signal(signal.SIGINT)
        _, stderr = apply.communicate(timeout=PATIENCE)  # less than the 50 s that the CA asks for
    assert apply.returncode == -signal.SIGINT
    assert "not in force: certificate app.test" in stderr
    assert ca.new_orders == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", [(), ("rollback", "1")])
def test_an_apply_stopped_before_any_change_says_so(tmp_path, command, number):
    # The file is a pipe that nobody writes to, so nothing is read yet.
    os.mkfifo(tmp_path / "aegis.yaml")
    process = subprocess.Popen(
        [PROGRAMS / "aegis-apply", *command], cwd=tmp_path, text=True, stderr=subprocess.PIPE)
    try:
        eventually("blocked signals", lambda: "SigBlk:\t0000000000004003" in status(process.pid))
        process.send_signal(number)
        _, stderr = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == -number
    assert stderr == f"aegis-apply: stopped by {number.name}; nothing was changed\n"


def status(process):
    with open(f"/proc/{process}/status", encoding="ascii") as file:
        return file.read()
