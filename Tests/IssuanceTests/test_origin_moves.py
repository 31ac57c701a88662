"""Replacing a certificate of the Origin CA by one from another source, and lists with unusual elements."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloudflare import TOKEN, lose
from hosts import NAMES, aegis_apply, rows
from scripted_ca import Authority, pem


def own_files(gateway):
    """Writes a certificate of the operator's own. Returns its declaration for aegis.yaml."""
    key, authority = ec.generate_private_key(ec.SECP256R1()), Authority("Own")
    leaf = authority.sign(x509.Name([]), key.public_key(), [
        (x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES]), True)])
    (gateway.folder / "own.pem").write_bytes(pem(leaf, authority.certificate))
    (gateway.folder / "own.key").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    (gateway.folder / "own.key").chmod(0o600)
    return {"source": "custom", "cert": {"file": "own.pem"}, "key": {"file": "own.key"}}


def move(gateway, to):
    issuers, certificates = gateway.config["issuers"], gateway.config["certificates"]
    if to == "another of Cloudflare's":
        issuers["other"] = dict(issuers["origin"], revoke_replaced=False)
        certificates["site"]["issuer"] = "other"
    elif to == "the local CA":
        issuers["local"] = {"type": "local_ca"}
        certificates["site"]["issuer"] = "local"
    else:
        certificates["site"] = own_files(gateway)


MOVES = ["another of Cloudflare's", "the local CA", "own files"]


@pytest.mark.parametrize("to", MOVES)
@pytest.mark.parametrize("revokes", [True, False])
@pytest.mark.parametrize("goes", [False, True], ids=["its issuer stays", "its issuer goes too"])
def test_a_certificate_that_moves_is_revoked_by_the_settings_of_its_former_issuer(behind, cloudflare, to, revokes, goes):
    gateway = behind(revoke_replaced=revokes)
    gateway.apply()
    former, = cloudflare.valid
    move(gateway, to)
    if goes:
        del gateway.config["issuers"]["origin"]
    said = gateway.apply(everything=True)
    assert ("revoked_at" in cloudflare.certificates[former]) == revokes, said
    assert ("Revoked the former certificate of 'site'" in said) == revokes
    assert rows(gateway, "SELECT count(*) FROM superseded") == [(0,)]
    # An issuer that was only renamed keeps its certificate.
    is_renamed = goes and to == MOVES[0] and not revokes
    assert len(cloudflare.valid) == (not revokes) + (to == MOVES[0] and not is_renamed)
    assert "No changes" in gateway.apply()


@pytest.mark.parametrize("why", ["refused", "its token goes with it"])
def test_a_certificate_that_can_no_longer_be_revoked_is_reported(behind, cloudflare, why):
    gateway = behind(revoke_replaced=True)
    if why == "refused":
        cloudflare.refuse("DELETE", "/certificates", 403, 9109, "Not now")
    else:
        gateway.config["issuers"]["origin"]["api_token"] = TOKEN
    gateway.apply()
    former, = cloudflare.valid
    move(gateway, "the local CA")
    del gateway.config["issuers"]["origin"]
    said = gateway.apply(everything=True)
    assert "the former certificate of 'site' is not revoked: " in said
    assert f"revoke {former} in Cloudflare's dashboard" in said
    assert rows(gateway, "SELECT count(*) FROM superseded") == [(0,)]


def spoil(*odd):
    """A fault: puts these elements at the beginning of a list."""
    def fault(call):
        status, fields, envelope = call.carry_out()
        envelope["result"] = [*odd, *envelope["result"]]
        call.answer(status, fields, envelope)
    return fault


def lose_answer(gateway, cloudflare, odd):
    """Loses the answer to a request; from then on lists begin with an unusual element."""
    cloudflare.on_call("POST", "/certificates", lambda call: call.hang_up())
    cloudflare.on_call("GET", "/certificates", spoil(odd), times=3)
    assert "it may have been issued all the same" in gateway.apply(expect=3, everything=True)


ODD = [None, 5, {}, [], "x", {"id": [7]}, {"id": None, "hostnames": ["other.test"]}, {"id": "../1", "csr": "none"}]
DOUBTFUL = [{"id": [7], "hostnames": NAMES[::-1]}, {"id": None, "hostnames": [name.upper() for name in NAMES]}]


def test_a_certificate_is_found_among_odd_ones(behind, cloudflare):
    gateway = behind()
    cloudflare.on_call("POST", "/certificates", lose)
    cloudflare.on_call("GET", "/certificates", spoil(*ODD))
    said = gateway.apply(everything=True)
    assert len(cloudflare.certificates) == 1
    assert said.count("can't be read") == 2 and "number 1 of page 1: it is null; and 7 more can't be read" in said, said


@pytest.mark.parametrize("element", ODD, ids=str)
def test_an_unreadable_element_that_can_not_be_ours_does_not_prevent_an_order(behind, cloudflare, element):
    gateway = behind()
    lose_answer(gateway, cloudflare, element)
    said = gateway.apply(everything=True)
    lines = [line for line in said.splitlines() if "an element that can't be read, number 1 of page 1: " in line]
    assert len(lines) == 1 and "warning: certificate site was issued, though Cloudflare's list" in lines[0], said
    assert len(cloudflare.valid) == 1


@pytest.mark.parametrize("element", DOUBTFUL, ids=str)
def test_if_the_list_may_contain_the_certificate_it_is_not_ordered_twice(behind, cloudflare, element):
    gateway = behind()
    lose_answer(gateway, cloudflare, element)
    said = gateway.apply(expect=3, everything=True)
    assert "what is looked for may be in it: Cloudflare's list of certificates has an element" in said
    assert len(cloudflare.said("POST")) == 1
    # The operator can order another all the same.
    aegis_apply(gateway, "renew", "site", "--force")
    gateway.apply()
    assert len(cloudflare.valid) == 1


def test_an_unreadable_pack_of_the_zone_does_not_prevent_an_order(edge_site, cloudflare):
    gateway = edge_site()
    cloudflare.on_call("GET", "/certificate_packs", spoil(None, {"id": [7]}))
    said = gateway.apply(everything=True)
    assert len(cloudflare.packs) == 1
    assert "Cloudflare's list of certificate packs has an element that can't be read, number 1 of page 1" in said


@pytest.mark.parametrize("odd, is_found", [
    ({"id": [7], "hosts": ["other.test"]}, True), ({}, True), (None, True),
    ({"id": [7], "hosts": ["*.example.test", "EXAMPLE.test"]}, False)], ids=str)
def test_a_pack_with_a_lost_answer_is_ordered_again_unless_an_unreadable_one_may_be_it(
        edge_site, cloudflare, odd, is_found):
    gateway = edge_site()
    cloudflare.on_call("POST", "/order", lambda call: call.hang_up())
    gateway.apply(expect=3)
    cloudflare.on_call("GET", "/certificate_packs", spoil(odd))
    said = gateway.apply(expect=0 if is_found else 3, everything=True)
    assert len(cloudflare.packs) == is_found
    assert ("what is looked for may be in it" in said) != is_found
    assert "can't be read, number 1 of page 1" in said
