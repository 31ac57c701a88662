"""The admin page, in a real browser: who gets in, what it shows, and what its forms do."""

import contextlib
import re
import ssl
import subprocess
import zipfile

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from admin_api import ask, command, make_token
from admin_page import add_host, link, log_in, own, send, session, token_and_cookie
from authority import Holder, pem
from browser import browser as start_browser
from client import Client, tls_context
from gateway import PATIENCE, PROGRAMS, eventually, free_port

SITE = {"issuers": {"lan": {"type": "local_ca"}},
        "certificates": {"site": {"issuer": "lan", "domains": ["app.test", "localhost"]}}}
FILE_HOST = {"domain": "app.test", "ssl_mode": "custom", "certificate": "site", "respond": {"body": "file\n"}}
PATHS = ["/", "/renewals", "/events", "/trust", "/hosts/app.test", "/certificates/1", "/add/host", "/add/certificate",
         "/add/origin", "/add/edge"]

root = Holder("root", is_ca=True)


@pytest.fixture(scope="module")
def gateway(run_once):
    return run_once([FILE_HOST], **SITE)


@pytest.fixture(scope="module")
def browser(tmp_path_factory, gateway):
    with start_browser(tmp_path_factory.mktemp("home"), gateway.root) as browser:
        yield browser


@pytest.fixture
def page(gateway, browser):
    page = log_in(gateway, browser)
    page.base = f"https://127.0.0.1:{gateway.admin}"
    yield page
    page.context.close()


# Logging in.


def test_the_link_works_once(gateway, browser):
    text = link(gateway)
    page = browser.new_page()
    for _ in range(2):
        # Looking at the link does not use it up.
        assert page.goto(text).status == 200
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    cookie = session(page)
    assert cookie["name"] == "__Host-aegis" and cookie["path"] == "/" and cookie["domain"] == "127.0.0.1"
    assert cookie["secure"] and cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    other = browser.new_page()
    # The link says at once that it is used up.
    assert other.goto(text).status == 403
    expect(other.get_by_role("heading", name="The link is used up")).to_be_visible()
    assert other.context.cookies() == []
    assert text.rpartition("/")[2] not in gateway.log
    page.goto(text)
    page.get_by_role("link", name="to the overview").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    for each in page, other:
        each.context.close()


def test_a_session_has_a_secret_that_nobody_else_chose(gateway, browser):
    chosen = "A" * 43
    context = browser.new_context()
    context.add_cookies([{
        "name": "__Host-aegis", "value": chosen, "domain": "127.0.0.1", "path": "/", "secure": True, "sameSite": "Strict"}])
    page = context.new_page()
    page.goto(link(gateway))
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert session(page)["value"] != chosen
    assert ask(gateway, "/", None, f"Cookie: __Host-aegis={chosen}").status == 401
    context.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_page_works_by_address_and_by_name(gateway, browser, host):
    page = log_in(gateway, browser, host)
    assert page.url == f"https://{host}:{gateway.admin}/"
    page.context.close()


def test_strangers_get_no_page(gateway):
    for path in PATHS:
        answer = ask(gateway, path)
        assert answer.status == 401 and b"app.test" not in answer.body
    for path in "/style.css", "/script.js", "/icon.svg", "/favicon.ico":
        assert ask(gateway, path).status == 200
    assert ask(gateway, "/", host="evil.example").status == 421


def test_logging_out_ends_the_session(gateway, page):
    cookie = f"Cookie: __Host-aegis={session(page)['value']}"
    assert ask(gateway, "/", None, cookie).status == 200
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="You are logged out")).to_be_visible()
    assert page.context.cookies() == []
    assert ask(gateway, "/", None, cookie).status == 401
    assert ask(gateway, "/api/v1/hosts", None, cookie).status == 401


# Pages that show something.


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(page, width, scheme):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    axe = Axe()
    for path in PATHS:
        assert page.goto(page.base + path).status == 200
        found = axe.run(page)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
        assert "<" not in page.inner_text("body"), path
        # Nothing is wider than the screen.
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


BROKEN_WORDS = """() => {
  const broken = [], walk = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode;
    if (!node.parentElement.closest('table') || node.parentElement.closest('thead')?.offsetWidth <= 1) continue;
    for (const word of node.data.matchAll(/[^\\s-]{1,20}/g)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(box => box.top)).size > 1) broken.push(word[0]);
    }
  }
  return broken;
}"""


@pytest.fixture(scope="module")
def crowded(gateway):
    """The gateway, with many hosts, and certificates with many long names."""
    writer = make_token(gateway, "crowd", "--scope", "write")
    made = []
    for number in range(6):
        names = [f"customer-portal-{number}-{part}.long-department.example-company.test" for part in "ab"]
        chain, key = pair(*names)
        sent = {"name": f"certificate-of-customer-portal-{number}", "cert_pem": chain, "key_pem": key}
        stored = ask(gateway, "/api/v1/certificates", writer, method="POST", send=sent)
        assert stored.status == 201, stored.body
        host = {"domain": names[0], "ssl_mode": "custom", "ssl_cert_id": stored.json["id"], "respond": {}}
        assert ask(gateway, "/api/v1/hosts", writer, method="POST", send=host).status == 201
        made.append((f"/api/v1/hosts/{names[0]}", f"/api/v1/certificates/{stored.json['id']}?force=true"))
    for number in range(6):
        host = {"domain": f"site0{number}.shop.test", "aliases": [f"www.site0{number}.shop.test"], "respond": {}}
        assert ask(gateway, "/api/v1/hosts", writer, method="POST", send=host).status == 201
        made.append((f"/api/v1/hosts/{host['domain']}",))
    yield gateway
    for paths in made:
        for path in paths:
            assert ask(gateway, path, writer, method="DELETE").status == 204


@pytest.mark.parametrize("width", [360, 700, 1000, 1280])
def test_long_names_fit_and_short_words_stay_whole(crowded, page, width):
    page.set_viewport_size({"width": width, "height": 900})
    host = "/hosts/customer-portal-0-a.long-department.example-company.test"
    for path in [*PATHS, host, "/hosts/site00.shop.test"]:
        assert page.goto(page.base + path).status == 200
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate(BROKEN_WORDS) == [], path


def test_the_browser_reports_no_error(page):
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    # A page that is left ends its stream, and what it has not loaded yet.
    page.on("requestfailed", lambda request: "ERR_ABORTED" in request.failure or complaints.append(request.url))
    for path in PATHS:
        with page.expect_request("**/api/v1/events/stream*"):
            page.goto(page.base + path)
    assert complaints == []


def test_the_overview_finds_and_sorts(gateway, page):
    page.goto(page.base + "/?search=nothing")
    expect(page.get_by_text("Hosts (0)")).to_be_visible()
    page.get_by_label("Search").fill("APP")
    page.get_by_label("Sort by").select_option("expiry")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("Hosts (1)")).to_be_visible()
    assert page.get_by_label("Search").input_value() == "APP"
    page.goto(page.base + "/?search=" + "%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert page.get_by_label("Search").input_value() == '"><script>alert(1)</script>'


def test_events_name_tokens_and_renewals_are_never_due_in_1970(gateway, page):
    command(gateway, "admin", "token", "create", "named-in-events")
    page.goto(page.base + "/events")
    expect(page.get_by_role("cell", name=re.compile("create-token gateway .*token: named-in-events"))).to_be_visible()
    for path in PATHS:
        page.goto(page.base + path)
        assert "1970" not in page.inner_text("body"), path


def test_missing_pages_are_404(page):
    for path in "/nothing", "/hosts/none.test", "/certificates/99", "/certificates/x", "/hosts/app.test/x":
        assert page.goto(page.base + path).status == 404
        expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()


# Forms that change something.


def pair(*names, **options):
    holder = Holder(names[0], root, names=names, **options)
    return pem(holder.certificate).decode(), holder.key_pem.decode()


def served(gateway, name):
    with Client(gateway.https, tls=tls_context(), name=name) as client:
        return client.get(name)


def delete(page):
    """Deletes what the page shows, and answers the question."""
    page.get_by_role("link", name=re.compile("^Delete the")).click()
    expect(page.get_by_role("heading", name=re.compile("^Delete "))).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.get_by_role("status").first).to_contain_text("deleted")


def test_a_host_is_added_changed_and_deleted(gateway, page, origin):
    add_host(page, "new.test", origin)
    assert served(gateway, "new.test").body == b"ok"
    page.get_by_label("Other names, one a line").fill("www.new.test\nweb.new.test")
    page.get_by_label("Oldest TLS version").select_option("1.3")
    with page.expect_navigation():
        page.get_by_role("button", name="Save").click()
    assert page.get_by_role("alert").count() == 0
    expect(page.get_by_role("status").first).to_contain_text("saved")
    expect(page.get_by_role("cell", name=re.compile("changed: aliases, tls_min_version"))).to_be_visible()
    assert page.get_by_label("Oldest TLS version").input_value() == "1.3"
    assert served(gateway, "web.new.test").body == b"ok"
    delete(page)
    assert served(gateway, "new.test").status == 404
    # Its events lead to no page that is not there.
    expect(page.get_by_role("cell", name=re.compile("delete host new.test"))).to_be_visible()
    assert page.get_by_role("link", name="host new.test").count() == 0


def test_a_form_changes_only_what_it_has_shown(gateway, page, origin):
    page.goto(page.base)
    add_host(page, "twice.test", origin)
    other = page.context.new_page()
    other.goto(page.base + "/hosts/twice.test")
    for each in page, other:
        each.get_by_label("Other names, one a line").fill("www.twice.test" if each is page else "")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text('["www.twice.test"]')).to_be_attached()
    # However often it is sent: the refused form does not become a good one.
    for _ in range(2):
        with other.expect_navigation():
            other.get_by_role("button", name="Save", exact=True).click()
        alert = other.get_by_role("alert").filter(has_text="Not done")
        expect(alert).to_contain_text("It has changed since it was read")
        expect(alert).to_contain_text("person:")
        expect(other.locator("#aliases-fault")).to_contain_text("www.twice.test")
        assert other.get_by_label("Other names, one a line").input_value() == ""
        assert served(gateway, "www.twice.test").body == b"ok"
    with other.expect_navigation():
        other.get_by_role("button", name="Save mine over theirs").click()
    expect(other.get_by_role("status").first).to_contain_text("saved")
    assert served(gateway, "www.twice.test").status == 404
    delete(other)


def test_faults_of_a_host_are_shown_at_their_fields(page):
    page.goto(page.base + "/add/host")
    page.get_by_label("Domain").fill("app.test")
    page.get_by_label("Upstreams, one URL a line").fill("ftp://x")
    page.get_by_label("Certificate", exact=True).select_option("none")
    page.get_by_label("HTTP is redirected to HTTPS").check()
    page.get_by_label("Other names, one a line").fill("a..b\n-.test")
    page.get_by_role("button", name="Add").click()
    alert = page.get_by_role("alert").filter(has_text="Not done")
    expect(alert).to_be_visible()
    # All of them, in the words of the form.
    for name in "Domain", "Upstreams", "Other names", "HTTP is redirected to HTTPS":
        expect(alert.get_by_role("link", name=name)).to_be_visible()
    assert not re.search("ssl_mode|force_https|aliases", alert.inner_text())
    for name in "a..b", "-.test":
        expect(page.locator("#aliases-fault")).to_contain_text(name)
    upstreams = page.get_by_label("Upstreams, one URL a line")
    assert upstreams.input_value() == "ftp://x" and upstreams.get_attribute("aria-invalid") == "true"
    assert page.get_by_label("Domain").input_value() == "app.test"


def test_items_of_the_file_can_not_be_changed(gateway, page):
    page.goto(page.base + "/hosts/app.test")
    expect(page.get_by_text(re.compile(r"the file, .*/aegis.yaml:[0-9]+: change this host there, and apply it"))).to_be_visible()
    assert page.get_by_role("button", name="Save").count() == 0
    token = page.locator("input[name=_csrf]").first.get_attribute("value")
    cookie = f"Cookie: __Host-aegis={session(page)['value']}"
    answer = send(gateway, "/hosts/app.test/delete", *own(gateway), cookie, body=f"_csrf={token}".encode())
    assert answer.status == 409 and b"The file declares host" in answer.body


def bad_pairs():
    chain, key = pair("up.test")
    yield "another key", chain, pair("up.test")[1], "cert_pem"
    yield "no certificate", "hello", key, "cert_pem"
    yield "no key", chain, "hello", "key_pem"
    yield "expired", *pair("up.test", days=(-9, -1)), "cert_pem"
    yield "nothing", "", "", "cert_pem"


@pytest.mark.parametrize("chain, key, field", [case[1:] for case in bad_pairs()], ids=[case[0] for case in bad_pairs()])
def test_a_bad_pair_is_refused_at_its_field(gateway, browser, chain, key, field):
    # Without a script the server checks the form. With a script the browser itself refuses some of these forms.
    page = log_in(gateway, browser, java_script_enabled=False)
    page.goto(f"https://127.0.0.1:{gateway.admin}/add/certificate")
    page.locator("[name=cert_pem]").fill(chain)
    page.locator("[name=key_pem]").fill(key)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("alert").filter(has_text="Not done")).to_be_visible()
    assert page.locator(f"[name={field}]").get_attribute("aria-invalid") == "true"
    assert page.locator("[name=key_pem]").input_value().strip() == ""
    page.context.close()


DROP = """([area, texts]) => {
  const data = new DataTransfer();
  texts.forEach((text, index) => data.items.add(new File([text], `file${index}.pem`)));
  area.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


def test_a_pair_is_uploaded_by_dropping_its_files(gateway, page):
    page.goto(page.base + "/add/certificate")
    area = page.locator("[name=cert_pem]")
    page.evaluate(DROP, [area.element_handle(), ["hello"]])
    area.fill("hello")
    area.blur()
    assert "no certificate" in area.evaluate("area => area.validationMessage")
    area.fill("")
    area.blur()
    page.evaluate(DROP, [area.element_handle(), list(pair("up.test"))])
    expect(page.locator("[name=key_pem]")).to_have_value(re.compile("PRIVATE KEY"))
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name=re.compile("up.test-"))).to_be_visible()
    expect(page.get_by_text("the API", exact=True)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the chain").click()
    assert "BEGIN CERTIFICATE" in open(download.value.path()).read()
    expect(page.get_by_text(re.compile("Clients that ask for up.test"))).to_be_visible()
    delete(page)


DROP_BYTES = """([area, files]) => {
  const data = new DataTransfer();
  files.forEach((bytes, index) => data.items.add(new File([new Uint8Array(bytes)], `file${index}.der`)));
  area.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


def test_files_in_der_are_dropped_and_chosen(page, tmp_path):
    holder = Holder("der.test", root, names=["der.test"])
    (tmp_path / "key.pem").write_bytes(holder.key_pem)
    key = subprocess.run(["openssl", "pkey", "-in", tmp_path / "key.pem", "-outform", "DER"], capture_output=True, check=True)
    old = subprocess.run(["openssl", "ec", "-in", tmp_path / "key.pem", "-outform", "DER"], capture_output=True)
    leaf = tmp_path / "leaf.der"
    leaf.write_bytes(ssl.PEM_cert_to_DER_cert(pem(holder.certificate).decode()))
    for key_bytes in [key.stdout] + ([old.stdout] if old.returncode == 0 else []):
        page.goto(page.base + "/add/certificate")
        area = page.locator("[name=cert_pem]")
        page.evaluate(DROP_BYTES, [area.element_handle(), [list(key_bytes)]])
        expect(page.locator("[name=key_pem]")).to_have_value(re.compile("PRIVATE KEY"))
        page.locator("input[type=file]").first.set_input_files(leaf)
        expect(area).to_have_value(re.compile("BEGIN CERTIFICATE"))
        page.evaluate(DROP_BYTES, [area.element_handle(), [[1, 2, 3]]])
        assert page.locator("[name=cert_pem]").evaluate("area => area.validationMessage").startswith("This file has neither")
        area.fill(area.input_value() + "\n")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name=re.compile("der.test-"))).to_be_visible()
    delete(page)


def test_a_refused_form_never_shows_a_key_again(gateway, browser):
    chain, key = pair("refused.test")
    page = log_in(gateway, browser, java_script_enabled=False)
    for values, field in (({"cert_pem": key, "key_pem": chain}, None), ({"cert_pem": chain + key, "key_pem": ""}, "cert_pem")):
        page.goto(f"https://127.0.0.1:{gateway.admin}/add/certificate")
        for name, text in values.items():
            page.locator(f"[name={name}]").fill(text)
        page.get_by_role("button", name="Upload").click()
        expect(page.get_by_role("alert").filter(has_text="Not done")).to_be_visible()
        assert "BEGIN PRIVATE KEY" not in page.content() and key.splitlines()[1] not in page.content()
        if field:
            assert page.locator(f"[name={field}]").input_value().strip() == chain.strip()
    page.context.close()


def test_a_host_is_given_a_certificate_of_the_file(gateway, page, origin):
    page.goto(page.base)
    page.get_by_role("link", name="Add a host").click()
    page.get_by_label("Domain").fill("localhost")
    page.get_by_label("Upstreams, one URL a line").fill(f"http://127.0.0.1:{origin.port}")
    page.get_by_label("Certificate", exact=True).select_option("custom")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#ssl_cert_id-fault")).to_contain_text("choose one")
    page.get_by_label("Stored certificate").select_option(label="site: app.test, localhost")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("status").first).to_contain_text("saved")
    # The form can be saved as it is, and says so when it would drop a choice.
    with page.expect_navigation():
        page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_contain_text("saved")
    assert page.get_by_label("Stored certificate").input_value() == "1"
    page.get_by_label("Certificate", exact=True).select_option("none")
    with page.expect_navigation():
        page.get_by_role("button", name="Save").click()
    assert page.get_by_role("alert").filter(has_text="Not done").count() == 0
    page.get_by_label("Stored certificate").select_option(label="site: app.test, localhost")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#ssl_cert_id-fault")).to_contain_text("only if 'Certificate'")
    page.get_by_role("link", name="Delete the host").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_an_open_page_says_that_its_gateway_is_gone(run, browser):
    gateway = run([FILE_HOST], **SITE)
    page = log_in(gateway, browser, ignore_https_errors=True)
    expect(page.locator("#gone")).to_be_hidden()
    gateway.stop()
    expect(page.locator("#gone")).to_be_visible()
    done = subprocess.run([PROGRAMS / "aegis-apply", "admin", "login"], cwd=gateway.folder, capture_output=True, text=True)
    assert done.returncode == 0 and "no gateway is running" in done.stderr
    page.context.close()


def test_a_certificate_is_renewed(gateway, page):
    page.goto(page.base + "/certificates/1")
    before = page.locator("dd code").first.inner_text()
    page.get_by_role("button", name="Renew now").click()
    # A reload before that would cancel the request.
    page.wait_for_url(re.compile("done="))

    def is_renewed():
        page.reload()
        return page.locator("dd code").first.inner_text() != before

    # The gateway looks for due renewals every 20 s.
    eventually("another leaf", is_renewed, patience=3 * PATIENCE, pause=0.2)
    expect(page.get_by_role("cell", name=re.compile("renew")).first).to_be_visible()


def test_a_failed_certificate_is_tried_again_by_a_button(run, browser):
    away = {"type": "acme", "directory": f"https://127.0.0.1:{free_port()}/directory"}
    gateway = run([FILE_HOST], issuers={**SITE["issuers"], "letsencrypt": away}, certificates=SITE["certificates"])
    writer = make_token(gateway, "writer", "--scope", "write")
    host = {"domain": "wild.test", "ssl_mode": "letsencrypt", "respond": {}}
    assert ask(gateway, "/api/v1/hosts", writer, method="POST", send=host).status == 201

    def failures():
        events = ask(gateway, "/api/v1/events?item=certificate:wild.test", writer).json["items"]
        return [event for event in events if event["failure"]]

    def next_try():
        return ask(gateway, "/api/v1/hosts/wild.test", writer).json["next_try_at"]

    with contextlib.suppress(ssl.SSLError, OSError):
        served(gateway, "wild.test")
    eventually("the first try has failed", lambda: len(failures()) == 1 and next_try(), patience=60)
    before = next_try()
    page = log_in(gateway, browser, ignore_https_errors=True)
    page.goto(f"https://127.0.0.1:{gateway.admin}/hosts/wild.test")
    expect(page.get_by_role("cell", name=re.compile("issue certificate wild.test.*failed"))).to_have_count(1)
    page.get_by_role("button", name="Try now").click()
    expect(page.get_by_role("status").first).to_contain_text("A gateway does it within a minute")
    eventually("another try has failed", lambda: len(failures()) == 2, patience=60)
    # The gateway would have waited longer without the request.
    assert failures()[1]["at"] < before
    # The page shows the event without being loaded again.
    expect(page.get_by_role("cell", name=re.compile("issue certificate wild.test.*failed"))).to_have_count(2)
    page.context.close()


def test_everything_works_without_script(gateway, browser, origin):
    page = log_in(gateway, browser, java_script_enabled=False)
    add_host(page, "plain.test", origin)
    assert served(gateway, "plain.test").body == b"ok"
    delete(page)
    page.get_by_role("button", name="Log out").click()
    page.context.close()


def test_the_page_works_by_keyboard(page):
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "app.test":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="app.test")).to_be_visible()


def test_the_trust_bundle_is_what_curl_needs(gateway, page, tmp_path):
    page.get_by_role("link", name="Trust", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download its certificate").click()
    with zipfile.ZipFile(download.value.path()) as bundle:
        bundle.extractall(tmp_path)
    # The page and the bundle show what the named command prints.
    [command] = re.findall("openssl x509 .*", page.inner_text("main"))
    printed = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()
    assert printed in page.inner_text("main") and printed in (tmp_path / "README.txt").read_text()
    expect(page.get_by_text("libnss3-tools")).to_be_visible()
    subprocess.run(
        ["curl", "--silent", "--fail", "--cacert", tmp_path / "aegis-local-ca.crt",
         f"https://127.0.0.1:{gateway.admin}/healthz"], check=True)


# Requests from other sites.


def test_a_change_must_come_from_the_page_itself(gateway, page):
    token, cookie = token_and_cookie(page)
    origin, site = own(gateway)
    body = f"_csrf={token}&domain=x.test&ssl_mode=none".encode()
    cases = {
        "no origin": ([site], body), "no site": ([origin], body), "neither": ([], body),
        "another port": (["Origin: https://127.0.0.1:1", site], body),
        "same site": ([origin, "Sec-Fetch-Site: same-site"], body),
        "no token": ([origin, site], b"domain=x.test&ssl_mode=none"),
        "another token": ([origin, site], body.replace(token.encode(), token[::-1].encode())),
        "two origins": ([origin, origin, site], body),
    }
    for name, (fields, body) in cases.items():
        for path in "/add/host", "/api/v1/hosts":
            assert send(gateway, path, *fields, cookie, body=body).status in (403, 415), name
    assert send(gateway, "/add/host", origin, site, body=body).status == 401
    for method in "PUT", "DELETE", "PATCH":
        assert send(gateway, "/add/host", origin, site, cookie, method=method, body=b"_csrf=" + token.encode()).status == 405
    assert ask(gateway, "/hosts/x.test", None, cookie).status == 404


EVIL = b"""<!doctype html><form method="post" action="https://localhost:%d/add/host" enctype="%s">
<input name="domain" value="evil.test"><input name="ssl_mode" value="none"></form><script>document.forms[0].submit()</script>"""


@pytest.mark.parametrize("encoding", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
def test_a_page_of_another_port_can_change_nothing(gateway, browser, run, origin, encoding):
    site = run(
        [{"domain": "localhost", "ssl_mode": "custom", "certificate": "site", "upstreams": [f"http://127.0.0.1:{origin.port}"]}],
        **SITE)
    victim = log_in(gateway, browser, "localhost", ignore_https_errors=True)
    evil = EVIL % (gateway.admin, encoding.encode())
    origin.answer = lambda connection, request: connection.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(evil), evil))
    with victim.expect_response(lambda response: response.url.endswith("/add/host")) as answer:
        victim.goto(f"https://localhost:{site.https}/")
    assert "__Host-aegis=" in answer.value.request.all_headers()["cookie"]
    assert answer.value.status in (403, 415)
    # The browser has sent the cookie to the site, too; the upstream did not get it.
    assert origin.requests and all("aegis" not in (request["Cookie"] or "") for request in origin.requests)
    victim.context.close()


def test_no_other_page_may_frame_the_page(gateway):
    assert ask(gateway, "/")["Content-Security-Policy"].endswith("frame-ancestors 'none'")


@pytest.mark.parametrize("api", ["read", "off"])
def test_the_page_offers_only_what_the_file_allows(run, browser, api):
    gateway = run([FILE_HOST], **SITE)
    gateway.config["gateway"]["admin"] = {"listen": f"127.0.0.1:{gateway.admin}", "api": api}
    gateway.apply()
    if api == "off":
        eventually("no page", lambda: ask(gateway, "/").status == 404)
        done = subprocess.run([PROGRAMS / "aegis-apply", "admin", "login"], cwd=gateway.folder, capture_output=True, text=True)
        assert done.returncode == 1 and "api: off" in done.stderr
        return
    eventually("the new settings", lambda: "reload" in gateway.log or "generation 2" in gateway.log)
    page = log_in(gateway, browser, ignore_https_errors=True)
    assert page.get_by_role("link", name="Add a host").count() == 0
    token, cookie = token_and_cookie(page)
    answer = send(gateway, "/add/host", *own(gateway), cookie, body=f"_csrf={token}&domain=x.test&ssl_mode=none".encode())
    assert answer.status == 403 and b"api: read" in answer.body
    for path in "/add/host", "/add/certificate", "/add/origin", "/add/edge":
        assert ask(gateway, path, None, cookie).status == 403
    page.context.close()
