"""Answers that Cloudflare's API, or a server in its place, should not give: each is reported in one line and does no
harm."""

import json
import subprocess

import pytest

from cloudflare import TOKEN, lose
from gateway import PATIENCE
from hosts import aegis_apply, nothing_is_left, rows


def refusal(*errors):
    """The body of a refusal."""
    return json.dumps({"success": False, "errors": errors, "messages": [], "result": None}).encode()


def failed(gateway):
    """The output of an apply of which one item has failed."""
    return gateway.apply(expect=3, everything=True)


def test_all_errors_are_reported_with_their_documentation_urls(behind, cloudflare):
    body = refusal(
        {"code": 1004, "message": "First", "documentation_url": "https://developers.cloudflare.com/x"},
        {"code": 1005, "message": "Second", "source": {"pointer": "/csr"},
         "error_chain": [{"code": 7, "message": "why"}]})
    cloudflare.on_call("POST", "/certificates", lambda call: call.send(400, body))
    words = "First, see https://developers.cloudflare.com/x (code 1004); Second: why (code 7), at /csr (code 1005)"
    assert words in failed(behind())


def test_a_refusal_can_not_forge_lines_or_steer_a_terminal(behind, cloudflare):
    body = refusal({"code": 1, "message": "\x1b[2Jfine\ncertificate site: issued\u202e"})
    cloudflare.on_call("POST", "/certificates", lambda call: call.send(400, body, **{"CF-Ray": "\x1b[1mray"}))
    gateway = behind()
    said = failed(gateway) + aegis_apply(gateway, "status")
    assert "fine" in said
    assert not any(sign in said for sign in ("\x1b", "\u202e", "\ncertificate site: issued"))


def test_a_redirect_does_not_send_the_token_to_another_server(behind, cloudflare):
    elsewhere = cloudflare.base_url + "/elsewhere"
    cloudflare.on_call("POST", "/certificates", lambda call: call.send(307, b"", Location=elsewhere))
    assert "HTTP 307" in failed(behind())
    assert [call[:2] for call in cloudflare.calls] == [("POST", "/certificates")]


def test_a_token_that_is_no_header_value_is_refused_at_once(behind, cloudflare):
    gateway = behind()
    (gateway.folder / "token").write_bytes(b"one\r\nX-Other: two")
    with gateway.launch_apply(stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            said = process.communicate(timeout=PATIENCE)[0]
        finally:
            process.kill()
    assert "the secret has a line break or another control character in it (file token)" in said and "two" not in said
    assert cloudflare.calls == []


@pytest.mark.parametrize("number", ["../zones/x", "1?a=b", "", "1" * 101, -1, 1.5, None])
def test_an_identifier_that_would_change_the_path_is_refused(behind, cloudflare, number):
    def lead(call):
        status, fields, envelope = call.carry_out()
        envelope["result"] = {**envelope["result"], "id": number}
        call.answer(status, fields, envelope)

    gateway = behind()
    cloudflare.on_call("POST", "/certificates", lead)
    # The list of certificates identifies the issued one.
    gateway.apply()
    assert [remote for remote, in rows(gateway, "SELECT remote_id FROM certificates")] == cloudflare.valid
    assert len(cloudflare.said("POST")) == 1


def numbered(call):
    """Sends identifiers as numbers, in a list too."""
    status, fields, envelope = call.carry_out()
    result = envelope["result"]
    odd = [{**one, "id": int(one["id"])} for one in (result if isinstance(result, list) else [result])]
    call.answer(status, fields, {**envelope, "result": odd if isinstance(result, list) else odd[0]})


def escaped_twice(call):
    status, fields, envelope = call.carry_out()
    odd = {**envelope["result"], "certificate": envelope["result"]["certificate"].replace("\n", "\\n")}
    call.answer(status, fields, {**envelope, "result": odd})


def without_certificate(call):
    status, fields, envelope = call.carry_out()
    odd = {name: value for name, value in envelope["result"].items() if name != "certificate"}
    call.answer(status, fields, {**envelope, "result": odd})


@pytest.mark.parametrize("odd", [numbered, escaped_twice, without_certificate])
@pytest.mark.parametrize("zone", [{}, {"zone_id": None}], ids=["zone", "no zone"])
def test_an_odd_answer_costs_no_certificate(behind, cloudflare, odd, zone):
    gateway = behind(**zone)
    cloudflare.on_call("POST", "/certificates", odd)
    gateway.apply()
    assert [remote for remote, in rows(gateway, "SELECT remote_id FROM certificates")] == cloudflare.valid
    assert len(cloudflare.said("POST")) == 1 and nothing_is_left(gateway)


def test_a_numbered_certificate_is_found_in_the_list(behind, cloudflare):
    gateway = behind()
    cloudflare.on_call("POST", "/certificates", lose)
    cloudflare.on_call("GET", "/certificates", numbered)
    gateway.apply()
    assert [remote for remote, in rows(gateway, "SELECT remote_id FROM certificates")] == cloudflare.valid
    assert len(cloudflare.said("POST")) == 1


def test_an_endless_answer_is_cut_off(behind, cloudflare):
    gateway = behind()
    piece = b'{"success": true, ' + b" " * 65536
    cloudflare.on_call("POST", "/certificates", lambda call: call.send_without_end(piece))
    assert "the answer is larger than" in failed(gateway)
    gateway.apply()
    assert len(cloudflare.valid) == 1


def test_a_pack_can_not_steer_a_terminal_either(edge_site, cloudflare):
    def scribble(call):
        status, fields, envelope = call.carry_out()
        envelope["result"] = {
            **envelope["result"], "status": "pending_validation\x1b[2J",
            "validation_records": [{"txt_name": "_a\x1b[1m", "txt_value": "b\nEdge certificate edge is active"}]}
        call.answer(status, fields, envelope)

    gateway = edge_site(wait="0")
    cloudflare.on_call("POST", "/order", scribble)
    said = gateway.apply(everything=True) + aegis_apply(gateway, "status")
    assert "TXT _a" in said and "\x1b" not in said and "\nEdge certificate edge is active" not in said


# A server that repeats what it was sent, as some do for debugging.


def test_a_token_that_a_refusal_repeats_is_not_shown(behind, cloudflare):
    gateway = behind()
    cloudflare.refuse("POST", "/certificates", 400, 1, f"no good field Authorization: Bearer {TOKEN}")
    said = failed(gateway) + aegis_apply(gateway, "status") + aegis_apply(gateway, "history")
    assert TOKEN not in said
    assert not is_in_state(gateway, TOKEN)


def test_a_token_that_a_pack_repeats_is_not_shown(edge_site, cloudflare):
    def repeat(call):
        status, fields, envelope = call.carry_out()
        envelope["result"] = {**envelope["result"], "validation_errors": [{"message": f"seen: {TOKEN}"}]}
        call.answer(status, fields, envelope)

    gateway = edge_site(wait="0")
    cloudflare.on_call("POST", "/order", repeat)
    assert TOKEN not in gateway.apply(everything=True) + aegis_apply(gateway, "status")
    assert not is_in_state(gateway, TOKEN)


def is_in_state(gateway, secret):
    return any(secret.encode() in path.read_bytes() for path in gateway.folder.glob("state.db*"))


# Lists.


def test_a_certificate_is_found_among_many_large_ones(behind, cloudflare):
    names = [f"{number:03}{'a' * 40}.example.test" for number in range(200)]
    gateway = behind()
    gateway.config["certificates"]["site"]["domains"] = names
    gateway.config["hosts"][0]["domain"] = names[0]
    gateway.apply()
    [(number, one)] = cloudflare.certificates.items()
    cloudflare.certificates.update({str(copy): {**one, "id": str(copy)} for copy in range(60)})
    cloudflare.on_call("POST", "/certificates", lose)
    aegis_apply(gateway, "renew", "site", "--force")
    assert len(cloudflare.said("POST")) == 2
    assert rows(gateway, "SELECT remote_id FROM certificates") != [(number,)]


def test_a_useless_issued_certificate_does_not_prevent_another_order(behind, cloudflare):
    # An order whose result was unknown until its certificate had expired.
    gateway = behind()
    gateway.apply()
    cloudflare.on_call("POST", "/certificates", lambda call: (call.carry_out(), call.send(200, b"")))
    cloudflare.on_call("GET", "/certificates", lambda call: call.send(403, refusal({"code": 1, "message": "Not now"})))
    aegis_apply(gateway, "renew", "site", "--force", expect=3)
    [former, lost] = cloudflare.valid
    cloudflare.expire(lost)
    aegis_apply(gateway, "renew", "site", "--force")
    assert rows(gateway, "SELECT remote_id FROM certificates") == [(cloudflare.valid[-1],)]
    assert cloudflare.valid[-1] not in (former, lost)
