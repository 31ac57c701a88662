"""A CA that is overloaded, cut off or wrong at any call: the certificate comes now or at the next apply, and only once.

AEGIS_LONG=1 breaks every call of an issuance in every way; else a sample is broken.
"""

import os
import re

import pytest

from hosts import host, nothing_is_left, rows, tried

EVERY = 1 if os.environ.get("AEGIS_LONG") else 5
# An issuance makes fewer calls than this.
MANY = 60


def busy(call):
    call.answer(503, body=b"busy")


def slow_down(call):
    call.answer(429, [("Retry-After", "1"), ("Content-Type", "application/problem+json")],
                b'{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "slowly"}')


def leave_alone(call):
    call.answer(503, [("Retry-After", "86400")])


def cut_off(call):
    call.hang_up()


def lose_answer(call):
    call.pass_on()
    call.hang_up()


def fail_afterwards(call):
    """Answers with an error after passing the call on, like a load balancer's timeout."""
    call.pass_on()
    call.answer(504, body=b"<html>")


def garble(call):
    status, fields, _ = call.pass_on()
    call.answer(status, fields, bytes(range(256)) * 8)


def cut_short(call):
    status, fields, body = call.pass_on()
    call.answer(status, fields, body[: len(body) // 2], length=len(body) + 1)
    call.hang_up()


def go_on_for_ever(call):
    call.answer_without_end(b'{"status": "pending", ' + b" " * 65536)


def leave_encryption(call):
    status, fields, body = call.pass_on()
    call.answer(status, [(name, value.replace("https:", "http:")) for name, value in fields],
                body.replace(b"https:", b"http:"))


def redirect(call):
    call.answer(302, [("Location", f"https://localhost:1{call.path}")])


def refuse_nonce(call):
    call.answer(400, [("Content-Type", "application/problem+json"), ("Replay-Nonce", "bad nonce!")],
                b'{"type": "urn:ietf:params:acme:error:badNonce", "detail": "again"}')


# An apply waits until temporary faults pass. After any other fault the next apply continues.
PASSING = [busy, slow_down]
LASTING = [leave_alone, cut_off, lose_answer, fail_afterwards, garble, cut_short, go_on_for_ever, leave_encryption,
           redirect, refuse_nonce]


@pytest.mark.parametrize("fault", PASSING + LASTING, ids=lambda fault: fault.__name__)
def test_a_fault_at_any_call_costs_no_second_certificate(stand, figures, fault):
    first = 1 + (PASSING + LASTING).index(fault) % EVERY
    broken, again = 0, 0
    for place in range(first, MANY, EVERY):
        before = len(stand.ca.issued)
        gateway = stand.gateway([host("app.test")])
        stand.proxy.arm(place, fault)
        code, said = tried(gateway)
        if stand.proxy.broken is None:
            break
        broken += 1
        where = f"{fault.__name__} at call {place}, {' '.join(stand.proxy.broken)}:\n{said}"
        assert code == 0 or code == 3 and fault not in PASSING, where
        if code:
            again += 1
            assert "certificate app.test: issue failed: " in said, where
            assert said.isascii() and "\x00" not in said, where
            code, said = tried(gateway)
            assert code == 0, f"after {where}\n{said}"
        assert "No changes" in gateway.apply(), where
        assert len(stand.ca.issued) == before + 1, where
        assert rows(gateway, "SELECT name FROM certificates") == [("app.test",)], where
        assert nothing_is_left(gateway), where
    assert broken
    figures.append(f"{fault.__name__}: {broken} calls broken, the next apply had to go on after {again}")


def swap_certificate(call):
    """Answers with a valid certificate of another key."""
    status, fields, _ = call.pass_on()
    call.answer(status, fields, call.ca.certificate.read_bytes())


def climb_out(call):
    status, fields, body = call.pass_on()
    body = re.sub(rb'"token": *"[^"]*"', b'"token": "../../../../etc/passwd"', body)
    call.answer(status, fields, body)


def speak_in_escapes(call):
    call.answer(403, [("Content-Type", "application/problem+json")],
                b'{"type": "urn:ietf:params:acme:error:unauthorized", "detail": "\\u001b[2Jfine\\ncertificate issued"}')


@pytest.mark.parametrize("path, fault, words", [
    ("/certZ/", swap_certificate, "key"),
    ("/authZ/", climb_out, "token"),
    ("/order-plz", speak_in_escapes, "fine"),
])
def test_forbidden_answers_of_a_ca_are_refused_with_a_reason(stand, path, fault, words):
    before = len(stand.ca.issued)
    gateway = stand.gateway([host("app.test")])
    stand.proxy.arm(1, fault, path)
    code, said = tried(gateway)
    assert stand.proxy.broken
    assert code == 3 and words in next(line for line in said.splitlines() if "issue failed" in line)
    assert "\x1b" not in said and "\ncertificate issued" not in said and "etc/passwd" not in said
    gateway.apply()
    assert nothing_is_left(gateway)
    assert len(stand.ca.issued) == before + 1
