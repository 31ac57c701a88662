"""The admin page while a CA issues: it shows what has changed, without being loaded again."""

import sqlite3
import time

from playwright.sync_api import expect

from admin_page import log_in
from browser import browser as start_browser
from cloudflare import TOKEN, ZONE
from hosts import age, host, rows

LEASE = "certificate app.test"


def test_the_row_of_a_renewed_certificate_changes_by_itself(site, tmp_path):
    gateway, _ = site([host("app.test"), host("other.test")])
    gateway.apply()
    # Another machine seems to be renewing it, so that the page shows the old certificate first.
    age(gateway, "app.test")
    with sqlite3.connect(gateway.folder / "state.db") as state:
        now = int(time.time())
        state.execute("INSERT INTO leases VALUES (?, 'elsewhere another-boot 1 7 ops', ?, ?)", (LEASE, now, now + 30))
    gateway.start()
    before = rows(gateway, "SELECT fingerprint FROM certificates WHERE name = 'app.test'")
    with start_browser(tmp_path / "home", gateway.root) as browser:
        page = log_in(gateway, browser)
        page.evaluate("window.mark = 'kept'")
        row = page.get_by_role("row").filter(has=page.get_by_role("cell", name="app.test", exact=True)).first
        expect(row.get_by_role("time")).to_have_text("today")
        certificate = page.context.new_page()
        certificate.goto(page.url + row.get_by_role("link").nth(1).get_attribute("href").lstrip("/"))
        leaf = certificate.locator("dd code").first
        expect(leaf).to_have_text(before[0][0])
        certificate.evaluate("window.mark = 'kept'")
        with sqlite3.connect(gateway.folder / "state.db") as state:
            state.execute("DELETE FROM leases WHERE name = ?", (LEASE,))
        expect(leaf).not_to_have_text(before[0][0], timeout=90_000)
        expect(certificate.get_by_role("cell", name="issue certificate app.test").first).to_be_visible()
        page.bring_to_front()
        expect(row.get_by_role("time")).not_to_have_text("today")
        for each in page, certificate:
            assert each.evaluate("window.mark") == "kept", "the page was loaded again"


def test_certificates_are_ordered_at_cloudflare_by_forms(behind, cloudflare, tmp_path):
    gateway = behind(hosts=[{"domain": "file.test", "respond": {"body": "file"}}])
    del gateway.config["issuers"], gateway.config["certificates"]
    gateway.config["gateway"]["admin"] = {"listen": f"127.0.0.1:{gateway.admin}", "cloudflare": cloudflare.place}
    gateway.apply()
    gateway.start()
    with start_browser(tmp_path / "home", gateway.root) as browser:
        page = log_in(gateway, browser)
        for kind, names in ("Origin CA", "app.example.test\n*.example.test"), ("edge", "example.test *.example.test"):
            page.goto(f"https://127.0.0.1:{gateway.admin}/")
            page.get_by_role("link", name=kind).click()
            page.get_by_label("Names, one a line").fill(names)
            page.get_by_label("API token, which is used once and not stored").fill("wrong-" + TOKEN)
            page.get_by_label("Zone identifier").fill("x")
            page.get_by_role("button", name="Order").click()
            # What is wrong is told at its field, and the token is not sent back.
            expect(page.get_by_role("alert")).to_contain_text("Not done")
            assert page.get_by_label("Zone identifier").get_attribute("aria-invalid") == "true"
            assert TOKEN not in page.content()
            page.get_by_label("Zone identifier").fill(ZONE)
            page.get_by_label("API token, which is used once and not stored").fill("wrong-" + TOKEN)
            page.get_by_role("button", name="Order").click()
            expect(page.get_by_role("alert")).to_contain_text("Authentication error")
            page.get_by_label("API token, which is used once and not stored").fill(TOKEN)
            page.get_by_role("button", name="Order").click()
            expect(page.get_by_role("alert")).to_have_count(0)
        assert len(cloudflare.certificates) == len(cloudflare.packs) == 1
        expect(page.get_by_role("cell", name="order edge_certificate").first).to_be_visible()
        # A certificate that the API has ordered can't be revoked without its credential.
        page.goto(f"https://127.0.0.1:{gateway.admin}/certificates/1")
        expect(page.get_by_text("cloudflare_origin")).to_be_visible()
        assert page.get_by_role("button", name="Revoke").count() == 0


def test_a_certificate_is_revoked_by_its_form(site, tmp_path):
    gateway, _ = site([host("app.test")])
    gateway.apply()
    gateway.start()
    leaf = rows(gateway, "SELECT fingerprint FROM certificates")[0][0]
    with start_browser(tmp_path / "home", gateway.root) as browser:
        page = log_in(gateway, browser)
        page.goto(f"https://127.0.0.1:{gateway.admin}/certificates/1")
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_text("Revoke it").click()
        page.get_by_label("Reason").select_option("superseded")
        page.get_by_role("button", name="Revoke").click()
        expect(page.get_by_role("cell", name="revoke certificate app.test").first).to_be_visible()
        expect(page.locator("dd code").first).not_to_have_text(leaf, timeout=90_000)
