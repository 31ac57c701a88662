"""Which host answers a request, and what the gateway answers itself."""

import ssl

import pytest

from client import Client, tls_context


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    up = {"upstreams": [module_origin.url]}
    answers = lambda body: {"respond": {"status": 200, "body": body}}
    return run_once(
        [
            {"domain": "app.test", "aliases": ["www.app.test"], **up},
            {"domain": "other.test", **answers("other")},
            {"domain": "*.wild.test", **answers("wild")},
            {"domain": "exact.wild.test", **answers("exact")},
            {"domain": "off.test", "enabled": False, **answers("off")},
            {"domain": "teapot.test", "respond": {"status": 418, "body": ""}},
            {"domain": "page.test", **answers("<!doctype html><p>hello")},
            {
                "domain": "forced.test", "ssl_mode": "custom", "certificate": "forced", "force_https": True,
                "hsts": {"max_age": 31536000, "include_subdomains": True, "preload": True}, **up,
            },
            {"domain": "open.test", "ssl_mode": "custom", "certificate": "forced", "hsts": {"max_age": 300}, **up},
            {"domain": "modern.test", "tls_min_version": "1.3", **answers("modern")},
        ],
        issuers={"lan": {"type": "local_ca"}},
        certificates={"forced": {"issuer": "lan", "domains": ["forced.test", "open.test"]}})


def body(gateway, host):
    with Client(gateway.http) as client:
        response = client.get(host)
        return response.status, response.body


@pytest.mark.parametrize("host", ["app.test", "APP.Test", "app.test.", "app.test:80", "APP.TEST.:1234", "www.app.test"])
def test_a_host_is_found_however_it_is_written(gateway, origin, host):
    assert body(gateway, host) == (200, b"ok")


@pytest.mark.parametrize("host, expected", [
    ("a.wild.test", b"wild"), ("A.WILD.test.", b"wild"), ("exact.wild.test", b"exact"), ("EXACT.wild.test", b"exact"),
])
def test_a_wildcard_stands_for_one_label_and_an_exact_name_wins(gateway, host, expected):
    assert body(gateway, host) == (200, expected)


@pytest.mark.parametrize("host", ["app.test", "other.test", "forced.test", "unknown.test"])
def test_trace_is_refused(gateway, origin, host):
    """TRACE would send cookies and passwords back."""
    with Client(gateway.http) as client:
        answer = client.ask(f"TRACE / HTTP/1.1\r\nHost: {host}\r\nCookie: a=b\r\n\r\n")
        assert answer.status == 405 and b"a=b" not in answer.body
        assert "GET" in answer["Allow"].split(", ") and "TRACE" not in answer["Allow"]
        assert client.get().status == 200
    assert [request.method for request in origin.requests] == ["GET"]


@pytest.mark.parametrize("target", ["/", "*"])
@pytest.mark.parametrize("left", ["0", "000"])
def test_options_with_max_forwards_0_is_answered_by_the_gateway(gateway, origin, target, left):
    """RFC 9110 section 7.6.2."""
    with Client(gateway.http) as client:
        answer = client.ask(f"OPTIONS {target} HTTP/1.1\r\nHost: app.test\r\nMax-Forwards: {left}\r\n\r\n")
        assert answer.status == 204 and "OPTIONS" in answer["Allow"].split(", ") and answer["Content-Length"] is None
        assert client.get().status == 200
    assert [request.method for request in origin.requests] == ["GET"]


@pytest.mark.parametrize("method, given, passed", [
    ("OPTIONS", "1", "0"), ("OPTIONS", "10", "9"), ("OPTIONS", "9" * 30, str(2**64 - 2)), ("OPTIONS", "x", "x"),
    ("OPTIONS", "-1", "-1"), ("OPTIONS", "1.0", "1.0"), ("OPTIONS", "", ""), ("GET", "0", "0"), ("GET", "7", "7"),
    ("BREW", "0", "0"),
])
def test_max_forwards_is_lowered_by_one(gateway, origin, method, given, passed):
    with Client(gateway.http) as client:
        assert client.ask(f"{method} / HTTP/1.1\r\nHost: app.test\r\nmax-forwards: {given}\r\n\r\n").status == 200
    assert origin.last["Max-Forwards"] == passed


@pytest.mark.parametrize("count, fields, expected", [
    (100, lambda cookies: [f"Cookie: {cookie}" for cookie in cookies], 200),
    (180, lambda cookies: ["Cookie: " + "; ".join(cookies)], 200),
    (999, lambda cookies: ["Cookie: " + "; ".join(cookies)], 200),
    (1000, lambda cookies: ["Cookie: " + "; ".join(cookies)], 431),
    (1000, lambda cookies: [f"Cookie: {cookie}" for cookie in cookies], 431),
])
def test_a_client_may_have_many_cookies(gateway, origin, count, fields, expected):
    """Browsers keep up to 180 cookies of a site. The Host field counts as a field too."""
    with Client(gateway.http) as client:
        answer = client.get("app.test", "/", *fields([f"c{number}={number}" for number in range(count)]))
    assert answer.status == expected
    assert expected != 200 or sum(len(value.split("; ")) for value in origin.last.all("Cookie")) == count


@pytest.mark.parametrize("host", [
    "unknown.test", "wild.test", "a.b.wild.test", "xapp.test", "app.test.app.test", "test", "127.0.0.1", "[::1]",
    "off.test", "*.wild.test", "a,b.wild.test", "a%2Eb.wild.test", "a~.wild.test", "app%2Etest", "%61pp.test", "app.test,x",
    "app..test", ".app.test", ".wild.test", "app.test..", "1.2.3", "[v1.app.test]", "a." * 126 + "aa.wild.test",
])
def test_a_host_that_is_not_served_is_404(gateway, origin, host):
    assert body(gateway, host)[0] == 404
    assert origin.requests == []


@pytest.mark.parametrize("host", ["app.test:x", "app.test/", "a@app.test", "app%test", "app.test%2", "[v1]", '"app.test"'])
def test_an_invalid_host_is_400(gateway, origin, host):
    assert body(gateway, host)[0] == 400
    assert origin.requests == []


@pytest.mark.parametrize("target, host, expected", [
    ("http://app.test/", "other.test", (200, b"ok")), ("http://exact.wild.test/", "a.wild.test", (200, b"exact")),
    ("http://a.wild.test:81/", "exact.wild.test:82", (200, b"wild")), ("http://unknown.test/", "app.test", (404, None)),
    ("http://app.test/", "a,b", (200, b"ok")), ("http://a,b.wild.test/", "app.test", (404, None)),
    ("http://app.test/", "a@app.test", (400, None)),
])
def test_an_absolute_target_selects_the_host(gateway, origin, target, host, expected):
    """RFC 9112 section 3.2.2: the upstream does not get the original Host field."""
    with Client(gateway.http) as client:
        answer = client.ask(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
        assert answer.status == expected[0]
        assert expected[1] in (None, answer.body)
    for request in origin.requests:
        assert request["Host"] == request["X-Forwarded-Host"] == "app.test"
        assert 'host="app.test"' in request["Forwarded"]


def test_a_browser_gets_an_error_page_and_other_clients_a_line(gateway):
    with Client(gateway.http) as client:
        page = client.get("unknown.test", "/", "Accept: text/html,application/xhtml+xml")
        assert page["Content-Type"].startswith("text/html") and b"<h1>404" in page.body
        assert page["X-Request-Id"].encode() in page.body
        line = client.get("unknown.test")
        assert line["Content-Type"].startswith("text/plain") and line["X-Request-Id"].encode() in line.body


def test_fixed_answers(gateway):
    with Client(gateway.http) as client:
        assert client.get("other.test").body == b"other"
        head = client.ask("HEAD / HTTP/1.1\r\nHost: other.test\r\n\r\n")
        assert (head.status, head["Content-Length"]) == (200, "5")
        teapot = client.get("teapot.test")
        assert (teapot.status, teapot.body) == (418, b"")
        assert client.get("page.test")["Content-Type"].startswith("text/html")


def test_after_a_fixed_answer_to_a_request_with_a_body_the_connection_stays_usable(gateway):
    with Client(gateway.http) as client:
        smuggled = b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"
        for _ in range(3):
            client.send(
                b"GET / HTTP/1.1\r\nHost: other.test\r\nContent-Length: %d\r\n\r\n%s" % (len(smuggled), smuggled))
            assert client.response().body == b"other"
        client.send("GET / HTTP/1.1\r\nHost: other.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
        assert client.response().body == b"other"
        client.send("lo\r\n0\r\n\r\n")
        assert client.get("other.test").body == b"other"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_a_fixed_answer_is_for_get_and_head(gateway, method):
    with Client(gateway.http) as client:
        response = client.ask(f"{method} / HTTP/1.1\r\nHost: other.test\r\n\r\n")
        assert (response.status, response["Allow"]) == (405, "GET, HEAD")
        assert client.ask("HEAD / HTTP/1.1\r\nHost: other.test\r\n\r\n").status == 200
        # An answer with an error status is sent for every method.
        assert client.ask(f"{method} / HTTP/1.1\r\nHost: teapot.test\r\n\r\n").status == 418


@pytest.mark.parametrize("head", [
    "HEAD / HTTP/1.1\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "HEAD / HTTP/9.9\r\nHost: a\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\nb: c\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
])
def test_a_refused_head_request_gets_a_head_alone(gateway, head):
    with Client(gateway.http) as client:
        client.send(head)
        response = client.response("HEAD")
        assert response.status in (400, 505) and int(response["Content-Length"]) > 0
        assert client.is_closed()


# HTTPS and HTTP.

@pytest.mark.parametrize("method, status", [
    ("GET", 301), ("HEAD", 301), ("POST", 308), ("PUT", 308), ("DELETE", 308), ("OPTIONS", 308),
])
def test_plain_http_is_redirected_to_https(gateway, origin, method, status):
    with Client(gateway.http) as client:
        response = client.ask(f"{method} /a/../b?c=d&e HTTP/1.1\r\nHost: FORCED.test:8080\r\n\r\n")
        assert response.status == status
        assert response["Location"].lower() == f"https://forced.test:{gateway.https}/a/../b?c=d&e"
        assert response["Strict-Transport-Security"] is None
        assert client.ask("GET http://forced.test/x HTTP/1.1\r\nHost: forced.test\r\n\r\n")["Location"] == (
            f"https://forced.test:{gateway.https}/x")
    assert origin.requests == []


@pytest.mark.parametrize("target", ["*", "http://forced.test"])
def test_a_request_for_the_whole_server_is_redirected_to_its_root(gateway, target):
    with Client(gateway.http) as client:
        response = client.ask(f"OPTIONS {target} HTTP/1.1\r\nHost: forced.test\r\n\r\n")
        assert (response.status, response["Location"]) == (308, f"https://forced.test:{gateway.https}/")


def test_a_request_can_not_redirect_to_another_host(gateway):
    with Client(gateway.http) as client:
        response = client.get("forced.test", "//evil.test/%2e%2e")
        assert response["Location"] == f"https://forced.test:{gateway.https}//evil.test/%2e%2e"
        response = client.get("forced.test", "/\\evil.test\"<\xe4>?{|}[]")
        assert response["Location"] == (
            f"https://forced.test:{gateway.https}/%5Cevil.test%22%3C%E4%3E?%7B%7C%7D[]")
        response = client.ask("GET http://forced.test?^ HTTP/1.1\r\nHost: forced.test\r\n\r\n")
        assert response["Location"] == f"https://forced.test:{gateway.https}/?%5E"


@pytest.mark.parametrize("host, expected", [
    ("forced.test", "max-age=31536000; includeSubDomains; preload"), ("open.test", "max-age=300"),
])
def test_hsts_is_sent_only_over_tls_and_replaces_the_upstreams(gateway, origin, host, expected):
    origin.answer = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nStrict-Transport-Security: max-age=1\r\n"
        b"strict-transport-security: max-age=2\r\n\r\nok")
    with Client(gateway.https, tls_context(), host) as client:
        assert client.get(host)["Strict-Transport-Security"] == expected
    with Client(gateway.http) as client:
        assert client.get(host)["Strict-Transport-Security"] is None


# SNI and Host.

@pytest.mark.parametrize("name, host, status", [
    ("app.test", "app.test", 200), ("APP.test", "app.test", 200), ("app.test", "APP.TEST.", 200),
    ("app.test", "www.app.test", 200), ("www.app.test", "app.test", 200),
    ("a.wild.test", "b.wild.test", 200), ("a.wild.test", "exact.wild.test", 421), ("exact.wild.test", "a.wild.test", 421),
    ("app.test", "other.test", 421), ("app.test", "a.wild.test", 421), ("a.wild.test", "app.test", 421),
    ("app.test", "unknown.test", 421), ("unknown.test", "app.test", 421), ("unknown.test", "unknown.test", 404),
    ("off.test", "off.test", 404), ("off.test", "app.test", 421),
    (None, "app.test", 200), (None, "unknown.test", 404),
    ("app.test", "app%2Etest", 421), ("a.wild.test", "a,b.wild.test", 421), (None, "a~.wild.test", 404),
])
def test_the_host_must_be_the_one_of_the_handshake(gateway, origin, name, host, status):
    with Client(gateway.https, tls_context(), name) as client:
        assert client.get(host).status == status
        assert client.get(host).status == status, "and so for each request"
    assert len(origin.requests) == (2 if status == 200 and "app.test" in host.lower() else 0)


@pytest.mark.parametrize("target, host, status", [
    ("https://app.test/", "other.test", 200), ("https://other.test/", "app.test", 421),
])
def test_the_host_of_an_absolute_target_must_be_the_one_of_the_handshake(gateway, origin, target, host, status):
    with Client(gateway.https, tls_context(), "app.test") as client:
        assert client.ask(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").status == status
    assert len(origin.requests) == (1 if status == 200 else 0)


def test_a_tls_connection_serves_only_the_host_of_its_handshake(gateway, origin):
    with Client(gateway.https, tls_context(), "app.test") as client:
        assert [client.get(host).status for host in ("app.test", "other.test", "www.app.test")] == [200, 421, 200]


def test_the_lowest_tls_version_applies_to_requests_without_a_server_name_too(gateway):
    with Client(gateway.https, tls_context(versions=ssl.TLSVersion.TLSv1_2)) as client:
        assert client.get("other.test").status == 200
        assert client.get("modern.test").status == 421
    with Client(gateway.https, tls_context(versions=ssl.TLSVersion.TLSv1_3)) as client:
        assert client.get("modern.test").status == 200
