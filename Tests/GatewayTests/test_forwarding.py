"""What upstreams are told about clients: only what the gateway itself knows, never a client's claim (RFC 7239 and the
X-Forwarded fields)."""

import urllib.parse

import pytest

from client import Client, tls_context
from gateway import free_port

CLAIMS = [
    "X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 5.6.7.8", "X-Real-IP: 1.2.3.4", "X-Forwarded-Host: evil.test",
    "X-Forwarded-Proto: https", "X-Forwarded-Port: 444", "X-Forwarded-Anything: yes",
    "Forwarded: for=1.2.3.4;host=evil.test;proto=https", "X-Request-Id: given", "CF-Connecting-IP: 1.2.3.4",
]
SPELLINGS = ["X_Forwarded_For: 1.2.3.4", "X-Forwarded_For: 1.2.3.4", "x_real_ip: 1.2.3.4", "X_Whatever: a"]


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once(
        [
            {"domain": "app.test", "upstreams": [module_origin.url]},
            {"domain": "own.test", "upstreams": [module_origin.url], "preserve_host": False},
            {
                "domain": "changed.test", "upstreams": [module_origin.url],
                "headers": {
                    "request": {"set": {"X-Set": "by gateway", "X-New": "1"}, "remove": ["X-Removed", "cookie"]},
                    "response": {"set": {"X-Set": "by gateway", "X-New": "2"}, "remove": ["X-Removed", "SERVER"]},
                },
            },
        ])


@pytest.fixture(scope="module")
def trusting(run_once, module_origin):
    return run_once(
        [{"domain": "app.test", "upstreams": [module_origin.url]}], gateway={"trusted_proxies": ["127.0.0.0/8"]})


def test_forwarding_fields_of_an_untrusted_client_are_replaced(gateway, origin):
    with Client(gateway.http) as client:
        client.get("app.test", "/", *CLAIMS)
    seen = origin.last
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Real-IP"] == "127.0.0.1"
    assert seen["X-Forwarded-Host"] == "app.test"
    assert seen["X-Forwarded-Proto"] == "http"
    assert seen["Forwarded"] == 'for=127.0.0.1;host="app.test";proto=http'
    assert seen["X-Forwarded-Port"] is None and seen["X-Forwarded-Anything"] is None
    assert seen["CF-Connecting-IP"] is None
    assert len(seen["X-Request-Id"]) == 32 and seen["X-Request-Id"] != "given"


def test_forwarding_fields_of_a_trusted_proxy_are_kept(trusting, origin):
    with Client(trusting.http) as client:
        client.get("app.test", "/", *CLAIMS)
    seen = origin.last
    assert seen["X-Forwarded-For"] == "1.2.3.4, 5.6.7.8, 127.0.0.1"
    assert seen["X-Real-IP"] == "5.6.7.8"
    assert seen["X-Forwarded-Host"] == "evil.test"
    assert seen["X-Forwarded-Proto"] == "https"
    assert seen["X-Forwarded-Port"] == "444" and seen["X-Forwarded-Anything"] == "yes"
    assert seen["X-Forwarded-Anything"] == "yes" and seen["CF-Connecting-IP"] == "1.2.3.4"
    # A proxy that writes X-Forwarded-For passes on what its client has put into Forwarded.
    assert seen["Forwarded"] == 'for=5.6.7.8, for=127.0.0.1;host="app.test";proto=http'
    assert seen["X-Request-Id"] == "given"


IDENTITIES = [
    "Client-Cert: :QUJD:", "client-cert: :QUJD:", "CLIENT-CERT-CHAIN: :QUJD:, :QUJD:", "X-Forwarded-Client-Cert: Hash=1",
    "Client_Cert: :QUJD:", "X_Forwarded_Client-Cert: Hash=1",
]


@pytest.mark.parametrize("who", ["gateway", "trusting"])
def test_a_client_can_not_set_the_client_certificate_fields(request, origin, who):
    """RFC 9440 section 2.4: a proxy takes these fields out of every request, whoever sends it."""
    with Client(request.getfixturevalue(who).http) as client:
        client.get("app.test", "/", *IDENTITIES, "Connection: client-cert", "X-Client-Cert: mine")
    assert [name for name, _ in origin.last.fields if "cert" in name.lower()] == ["X-Client-Cert"]


@pytest.fixture(scope="module")
def trusting_in(run_once, module_origin):
    """Runs a gateway that trusts one field of local proxies, once for each such field."""
    made = {}

    def get(field):
        if field not in made:
            made[field] = run_once(
                [{"domain": "app.test", "upstreams": [module_origin.url]}],
                gateway={"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48"], "client_address": field})
        return made[field]

    return get


@pytest.mark.parametrize("field, lines, client, list_, forwarded", [
    ("x-forwarded-for", ["X-Forwarded-For: 8.8.8.8"], "8.8.8.8", "8.8.8.8, 127.0.0.1", "for=8.8.8.8, for=127.0.0.1"),
    ("x-forwarded-for", ["X-Forwarded-For: 1.1.1.1, 8.8.8.8", "X-Forwarded-For: 10.0.0.1"], "8.8.8.8",
     "1.1.1.1, 8.8.8.8, 10.0.0.1, 127.0.0.1", "for=8.8.8.8, for=127.0.0.1"),
    ("x-forwarded-for", ["X-Forwarded-For: [2001:db8::9]:443, 2001:db8:1::1"], "2001:db8::9",
     "[2001:db8::9]:443, 2001:db8:1::1, 127.0.0.1", 'for="[2001:db8::9]", for=127.0.0.1'),
    # Where an element is no address, the last known address stays.
    ("x-forwarded-for", ["X-Forwarded-For: 8.8.8.8, unknown"], "127.0.0.1", "8.8.8.8, unknown, 127.0.0.1", "for=127.0.0.1"),
    ("x-forwarded-for", ["X-Forwarded-For: 8.8.8.8, ?, 10.0.0.5"], "10.0.0.5", "8.8.8.8, ?, 10.0.0.5, 127.0.0.1",
     "for=10.0.0.5, for=127.0.0.1"),
    ("x-forwarded-for", ["X-Forwarded-For: " + ", ".join(["10.0.0.1"] * 1000)], "10.0.0.1",
     ", ".join(["10.0.0.1"] * 1000 + ["127.0.0.1"]), "for=10.0.0.1, for=127.0.0.1"),
    # Fields that the file does not name are ignored.
    ("x-forwarded-for", ["Forwarded: for=8.8.8.8", "CF-Connecting-IP: 8.8.8.8", "X-Real-IP: 8.8.8.8"], "127.0.0.1",
     "127.0.0.1", "for=127.0.0.1"),
    ("forwarded", ["Forwarded: for=1.1.1.1, for=8.8.8.8;proto=https", "X-Forwarded-For: 9.9.9.9"], "8.8.8.8",
     "8.8.8.8, 127.0.0.1", "for=1.1.1.1, for=8.8.8.8;proto=https, for=127.0.0.1"),
    ("forwarded", ['Forwarded: for="1.1.1.1', 'Forwarded: For="[2001:db8::9]:80", for=10.0.0.1'], "2001:db8::9",
     "2001:db8::9, 127.0.0.1", 'for="[2001:db8::9]", for=127.0.0.1'),
    ("forwarded", ["Forwarded: for=8.8.8.8, for=_hidden"], "127.0.0.1", "127.0.0.1",
     "for=8.8.8.8, for=_hidden, for=127.0.0.1"),
    ("x-real-ip", ["X-Real-IP: 8.8.8.8", "X-Forwarded-For: 9.9.9.9"], "8.8.8.8", "8.8.8.8, 127.0.0.1",
     "for=8.8.8.8, for=127.0.0.1"),
    ("cf-connecting-ip", ["CF-Connecting-IP: 2001:db8::9", "X-Forwarded-For: 9.9.9.9"], "2001:db8::9",
     "2001:db8::9, 127.0.0.1", 'for="[2001:db8::9]", for=127.0.0.1'),
    ("cf-connecting-ip", ["CF-Connecting-IP: 8.8.8.8", "CF-Connecting-IP: 9.9.9.9"], "127.0.0.1", "127.0.0.1",
     "for=127.0.0.1"),
])
def test_behind_trusted_proxies_the_client_is_found(trusting_in, origin, field, lines, client, list_, forwarded):
    with Client(trusting_in(field).http) as connection:
        assert connection.get("app.test", "/", *lines).status == 200
        seen = origin.last
        assert seen["X-Real-IP"] == client
        assert seen["X-Forwarded-For"] == list_
        assert seen["Forwarded"] == forwarded + ';host="app.test";proto=http'
        # The next request on the connection is from another client.
        assert connection.get().status == 200
    assert (origin.last["X-Real-IP"], origin.last["X-Forwarded-For"]) == ("127.0.0.1", "127.0.0.1")


@pytest.mark.parametrize("field", ["x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip"])
def test_untrusted_clients_can_not_name_another_client(run_once, origin, field):
    gateway = run_once(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"trusted_proxies": ["10.0.0.0/8"], "client_address": field})
    with Client(gateway.http) as client:
        client.get("app.test", "/", *CLAIMS)
    seen = origin.last
    assert (seen["X-Real-IP"], seen["X-Forwarded-For"]) == ("127.0.0.1", "127.0.0.1")
    assert seen["Forwarded"] == 'for=127.0.0.1;host="app.test";proto=http'
    assert seen["CF-Connecting-IP"] is None


def test_a_trusted_proxy_without_fields_counts_as_the_client(trusting, origin):
    with Client(trusting.http) as client:
        client.get()
    assert (origin.last["X-Forwarded-For"], origin.last["X-Forwarded-Proto"]) == ("127.0.0.1", "http")
    assert origin.last["X-Real-IP"] == "127.0.0.1"


@pytest.mark.parametrize("who, scheme, status", [
    ("10.0.0.0/8", "https", 301), ("127.0.0.0/8", "https", 200), ("127.0.0.0/8", "HTTPS", 200),
    ("127.0.0.0/8", "http", 301), ("127.0.0.0/8", None, 301),
])
def test_a_client_that_used_https_at_a_trusted_proxy_is_not_redirected(run, origin, who, scheme, status):
    """Without this rule the client would be redirected for ever, since the trusted proxy ends TLS."""
    forced = {"ssl_mode": "custom", "certificate": "app", "force_https": True}
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url], **forced}], gateway={"trusted_proxies": [who]},
        issuers={"lan": {"type": "local_ca"}}, certificates={"app": {"issuer": "lan", "domains": ["app.test"]}})
    with Client(gateway.http) as client:
        fields = [f"X-Forwarded-Proto: {scheme}"] if scheme else []
        assert client.get("app.test", "/", *fields).status == status


@pytest.mark.parametrize("fields, status", [
    (["Forwarded: for=8.8.8.8;proto=https"], 200),
    (["Forwarded: for=8.8.8.8;Proto=\"HTTPS\";host=app.test"], 200),
    (["Forwarded: for=8.8.8.8;proto=http", "Forwarded: for=9.9.9.9;proto=https"], 200),
    (["Forwarded: for=8.8.8.8", "X-Forwarded-Proto: https"], 200),
    (["Forwarded: for=8.8.8.8;proto=https, for=9.9.9.9;proto=http"], 301),
    (["Forwarded: for=8.8.8.8;proto=http", "X-Forwarded-Proto: https"], 301),
    (["Forwarded: for=8.8.8.8;proto=https;proto=https"], 301),
    ([], 301),
])
def test_the_proto_of_forwarded_is_the_clients_scheme(run, origin, fields, status):
    forced = {"ssl_mode": "custom", "certificate": "app", "force_https": True}
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url], **forced}],
        gateway={"trusted_proxies": ["127.0.0.1"], "client_address": "forwarded"},
        issuers={"lan": {"type": "local_ca"}}, certificates={"app": {"issuer": "lan", "domains": ["app.test"]}})
    with Client(gateway.http) as client:
        assert client.get("app.test", "/", *fields).status == status


@pytest.mark.parametrize("field, lines, schemes", [
    ("forwarded", ["Forwarded: for=8.8.8.8;proto=https"], ["https"]),
    ("forwarded", ["Forwarded: for=8.8.8.8;proto=HTTPS", "X-Forwarded-Proto: http"], ["https"]),
    ("forwarded", ["Forwarded: for=8.8.8.8;proto=http", "X-Forwarded-Proto: https"], ["http"]),
    ("forwarded", ["Forwarded: for=1.1.1.1;proto=https, for=8.8.8.8;proto=http"], ["http"]),
    ("forwarded", ["Forwarded: for=8.8.8.8;proto=https", "Connection: X-Forwarded-Proto"], ["https"]),
    # If Forwarded names no scheme, X-Forwarded-Proto counts, and is passed on unchanged.
    ("forwarded", ["Forwarded: for=8.8.8.8", "X-Forwarded-Proto: https"], ["https"]),
    ("forwarded", ["Forwarded: for=8.8.8.8;proto=gopher", "X-Forwarded-Proto: https"], ["https"]),
    ("forwarded", ["Forwarded: for=8.8.8.8"], ["http"]),
    # Fields other than the named one are ignored.
    ("x-forwarded-for", ["Forwarded: for=8.8.8.8;proto=https"], ["http"]),
    ("x-real-ip", ["Forwarded: for=8.8.8.8;proto=http", "X-Forwarded-Proto: https"], ["https"]),
])
def test_upstreams_get_the_scheme_of_the_client(trusting_in, origin, field, lines, schemes):
    with Client(trusting_in(field).http) as connection:
        assert connection.get("app.test", "/", *lines).status == 200
        assert origin.last.all("X-Forwarded-Proto") == schemes
        # The next request on the connection is from another client.
        assert connection.get().status == 200
    assert origin.last.all("X-Forwarded-Proto") == ["http"]


@pytest.mark.parametrize("before, passed", [
    (['for="a, for=8.8.8.8'], None),
    (['for=8.8.8.8;by="a\\"'], None),
    (['for="_x', 'for=8.8.8.8'], None),
    (['for="[2001:db8::1]:80", for=8.8.8.8'], 'for="[2001:db8::1]:80", for=8.8.8.8'),
    (['for="a\\"b", for=8.8.8.8'], 'for="a\\"b", for=8.8.8.8'),
])
def test_an_open_quotation_mark_hides_no_address(run, origin, before, passed):
    """Otherwise the element that the gateway appends would be a part of the quoted string."""
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"trusted_proxies": ["127.0.0.1"], "client_address": "forwarded"})
    with Client(gateway.http) as client:
        client.get("app.test", "/", *[f"Forwarded: {line}" for line in before])
    own = 'for=127.0.0.1;host="app.test";proto=http'
    seen = origin.last
    earlier = passed if passed else None if seen["X-Real-IP"] == "127.0.0.1" else "for=" + seen["X-Real-IP"]
    assert seen["Forwarded"] == (f"{earlier}, {own}" if earlier else own)


@pytest.mark.parametrize("which", ["gateway", "trusting"])
def test_fields_with_underscores_are_removed(which, origin, request):
    with Client(request.getfixturevalue(which).http) as client:
        client.get("app.test", "/", *SPELLINGS)
    assert not [name for name, _ in origin.last.fields if "_" in name]


@pytest.mark.parametrize("which", ["gateway", "trusting"])
def test_connection_can_not_remove_the_gateways_fields(which, origin, request):
    names = "X-Forwarded-For, X-Real-IP, X-Forwarded-Host, X-Forwarded-Proto, Forwarded, X-Request-Id, Host, Authorization"
    with Client(request.getfixturevalue(which).http) as client:
        client.get("app.test", "/", f"Connection: keep-alive, {names}", "Authorization: a", "X-Forwarded-For: 1.1.1.1")
    assert all(origin.last[name] for name in names.split(", "))


def test_connection_can_not_remove_a_trusted_proxys_fields(trusting, origin):
    names = ["X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-User", "CF-Connecting-IP"]
    with Client(trusting.http) as client:
        client.get(
            "app.test", "/", f"Connection: keep-alive, X-Hop, {', '.join(names)}", "X-Hop: a", *(f"{n}: said" for n in names))
    assert [origin.last[name] for name in names] == ["said"] * len(names)
    assert origin.last["X-Hop"] is None


def test_hop_by_hop_fields_are_removed(gateway, origin):
    origin.answer = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Hop\r\nX-Hop: a\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Authenticate: Basic\r\nTrailer: a\r\nUpgrade: h2c\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nok")
    with Client(gateway.http) as client:
        response = client.get(
            "app.test", "/", "Connection: X-Hop", "X-Hop: a", "Keep-Alive: 5", "TE: trailers", "Trailer: a",
            "Proxy-Authorization: secret", "Proxy-Connection: close", "X-Kept: b")
    gone = {"connection", "x-hop", "keep-alive", "te", "trailer", "proxy-authorization", "proxy-connection", "upgrade"}
    assert not gone & {name.lower() for name, _ in origin.last.fields}
    assert origin.last["X-Kept"] == "b"
    assert not (gone | {"proxy-authenticate"}) & {name.lower() for name, _ in response.fields}
    assert response.all("Set-Cookie") == ["a=1", "b=2"]


def test_fields_are_set_and_removed_as_configured(gateway, origin):
    origin.answer = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Set: a\r\nx-set: b\r\nX-Removed: c\r\nServer: s\r\nX-Kept: d\r\n"
        b"\r\nok")
    with Client(gateway.http) as client:
        response = client.get("changed.test", "/", "X-Set: a", "x-removed: b", "Cookie: c=1", "X-Kept: d")
    for fields in (origin.last, response):
        assert (fields["X-Set"], fields["X-Removed"], fields["X-Kept"]) == ("by gateway", None, "d")
    assert origin.last["Cookie"] is None and response["Server"] is None
    assert (origin.last["X-New"], response["X-New"]) == ("1", "2")


def test_the_host_is_kept_or_replaced_as_configured(gateway, origin):
    with Client(gateway.http) as client:
        client.get("app.test:8080")
        assert (origin.last["Host"], origin.last["X-Forwarded-Host"]) == ("app.test:8080", "app.test:8080")
        client.get("own.test")
        assert (origin.last["Host"], origin.last["X-Forwarded-Host"]) == (f"127.0.0.1:{origin.port}", "own.test")


def test_over_tls_the_origin_gets_the_scheme_https(gateway, origin):
    with Client(gateway.https, tls_context(), "app.test") as client:
        assert client.get().status == 200
    assert origin.last["X-Forwarded-Proto"] == "https"
    assert origin.last["Forwarded"] == 'for=127.0.0.1;host="app.test";proto=https'


def test_ipv6_clients_have_correct_fields(run, origin):
    port, other = free_port(), free_port()
    run([{"domain": "app.test", "upstreams": [origin.url]}], gateway={"http": [f"[::1]:{port}", f":{other}"]})
    with Client(port, address="::1") as client:
        client.get()
    assert (origin.last["X-Forwarded-For"], origin.last["X-Real-IP"]) == ("::1", "::1")
    assert origin.last["Forwarded"] == 'for="[::1]";host="app.test";proto=http'
    with Client(other) as client:
        client.get()
    assert origin.last["X-Forwarded-For"] == "127.0.0.1", "not as an address of IPv6"


def test_each_request_has_its_own_id(gateway, origin):
    with Client(gateway.http) as client:
        for _ in range(50):
            client.get()
    assert len({request["X-Request-Id"] for request in origin.requests}) == 50


def test_fields_that_a_host_sets_replace_the_gateways(run, make_origin):
    origin = make_origin()
    gateway = run([
        {"domain": "app.test", "upstreams": [origin.url],
         "headers": {"request": {"set": {"X-Forwarded-Proto": "https"}, "remove": ["Forwarded"]}}},
        {"domain": "fixed.test", "respond": {"status": 200, "body": "{}"},
         "headers": {"response": {"set": {"Content-Type": "application/json", "X-Request-Id": "mine"}}}},
    ])
    with Client(gateway.http) as client:
        assert client.get().status == 200
        answer = client.get("fixed.test")
    assert origin.requests[0].all("X-Forwarded-Proto") == ["https"]
    assert origin.requests[0].all("Forwarded") == []
    assert answer.all("Content-Type") == ["application/json"]
    assert answer.all("X-Request-Id") == ["mine"]


def test_bytes_not_allowed_in_a_uri_are_percent_encoded_for_upstreams(gateway, origin):
    """RFC 9110 section 7.7: the target is passed on unchanged except for what the protocol requires."""
    odd = bytes(byte for byte in range(0x21, 256) if byte not in b"#%?\x7f")
    expected = urllib.parse.quote(odd, safe="!$&'()*+,-./:;=@[]_~")
    with Client(gateway.http) as client:
        assert client.ask(b"GET /" + odd + b"?" + odd + b"% HTTP/1.1\r\nHost: app.test\r\n\r\n").status == 200
        assert origin.last.target == f"/{expected}?{expected}%"
        assert client.ask(b"GET http://app.test?{} HTTP/1.1\r\nHost: app.test\r\n\r\n").status == 200
        assert origin.last.target == "/?%7B%7D"


def test_the_longest_percent_encoded_target_fits_into_the_head(run, make_origin):
    origin = make_origin()
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}], gateway={"limits": {"header_bytes": "1MiB"}})
    target, value = b"/" + b"{" * ((1 << 19) - 1), b"a" * ((1 << 19) - 200)
    with Client(gateway.http) as client:
        answer = client.ask(
            b"POST " + target + b" HTTP/1.1\r\nHost: app.test\r\nX: " + value + b"\r\nContent-Length: 60000\r\n\r\n"
            + bytes(60_000))
        assert answer.status == 200
        assert client.get().status == 200
    assert origin.requests[0].target == "/" + "%7B" * (len(target) - 1)
    assert origin.requests[0]["X"].encode() == value and origin.requests[0].body == bytes(60_000)
