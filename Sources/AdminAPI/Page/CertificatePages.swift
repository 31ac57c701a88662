import ConfigModel
import Gateway
import Operations
import PKI
import State

/// A certificate, and the form that uploads one.
enum CertificatePages {
    static let routes: [PageRoute] = [
        .get("/certificates/{id}") { call in try show(call, try details(call)) },
        .post("/certificates/{id}/renew") { try change($0, "renewCertificate") },
        .post("/certificates/{id}/revoke") { call in
            try change(call, "revokeCertificate", .map([("reason", .string(call.form.text("reason") ?? ""))]))
        },
        .post("/certificates/{id}/delete") { try change($0, "deleteCertificate") },
        .get("/add/certificate") { uploadForm($0, [:]) },
        .post("/add/certificate", upload),
    ]

    private static func details(_ call: PageCall) throws -> CertificateDetails {
        guard let number = call.parameters["id"].flatMap(CertificateRoutes.number),
            let found = try call.store.certificate(numbered: number)
        else { throw Problem(.notFound, "There is no certificate in force with this number.") }
        return try CertificateDetails(found, in: call.store, now: call.now)
    }

    private static func show(_ call: PageCall, _ details: CertificateDetails, failure: Problem? = nil) throws
        -> AdminResponse
    {
        let (summary, facts) = (details.summary, details.summary.facts)
        let hosts = details.hosts.map { host -> HTML in "<li><a href=\"/hosts/\(host)\">\(host)</a></li>\n" }
        let names = facts.domains.map { name -> HTML in "<li>\(name)</li>\n" }
        let base = "/certificates/\(summary.number)"
        let hidden = try call.tagFields("getCertificate", "\(summary.number)")
        let renewal = call.mayChange && details.isRenewed ? PageParts.button(hidden, "\(base)/renew", "Renew now") : nil
        let deletion =
            call.mayChange && details.summary.certificate.owner == .api && details.hosts.isEmpty
            ? PageParts.button(hidden, "\(base)/delete", "Delete", question: "Delete this certificate?") : nil
        return call.page(
            summary.certificate.name,
            """
            <h1>\(summary.certificate.name)</h1>
            \(failure.map(PageParts.failure))
            <p data-live="state">\(state(summary)) \(summary.problem ?? "")</p>
            \(PageParts.facts([
                ("Expires", PageParts.life(from: facts.notBefore, to: facts.expiresAt, now: call.now)),
                ("Issuer", "\(facts.issuerCommonName)"), ("Source", "\(facts.source.rawValue)"),
                ("Renewal", renewalText(details)),
                ("Last failure", details.progress?.lastFailure.map { "\($0)" }),
                ("Valid from", PageParts.time(facts.notBefore)), ("Valid to", PageParts.time(facts.expiresAt)),
                ("SHA-256 of the leaf", "<code>\(facts.fingerprint)</code>"),
                ("Owner", PageParts.owner(summary.certificate.owner, "this certificate")),
            ]))
            <h2>Names</h2><ul>
            \(names)</ul>
            <h2>Hosts</h2>\(hosts.isEmpty ? "<p>No host is served with it.</p>" : "<ul>\n\(hosts)</ul>")
            <p><a href="/api/v1\(base)/chain.pem" download>Download the chain</a></p>
            <div class="actions">\(renewal)\(deletion)</div>
            \(revocationForm(call, details, base, hidden))
            \(try PageParts.latestEvents(of: ItemID(.certificate, summary.certificate.name), 20, in: call.store))
            """, status: failure?.kind.status ?? 200)
    }

    private static func state(_ summary: CertificateSummary) -> HTML {
        switch summary.status {
        case .valid: PageParts.mark("good", "Valid")
        case .expired: PageParts.mark("bad", "Expired")
        case .unusable: PageParts.mark("bad", "Unusable")
        }
    }

    /// Nil for a certificate that no CA could revoke.
    private static func revocationForm(_ call: PageCall, _ details: CertificateDetails, _ base: String, _ hidden: HTML)
        -> HTML?
    {
        guard call.mayChange, details.canBeRevoked else { return nil }
        let reasons = RevocationWord.allCases.map { ($0.rawValue, $0.rawValue.replacing("-", with: " ")) }
        return """
            <details><summary>Revoke it</summary>
            <form method="post" action="\(base)/revoke" data-question="Revoke this certificate? This can't be undone.">
            \(hidden)
            \(PageParts.choice("Reason", "reason", reasons, call.form, [:]))
            <button>Revoke</button></form></details>
            """
    }

    private static func renewalText(_ details: CertificateDetails) -> HTML {
        details.renewsAt.map { "due \(PageParts.time($0))" } ?? "nobody renews it"
    }

    private static func change(
        _ call: PageCall, _ route: String, _ body: PlainValue = .object([])
    ) throws -> AdminResponse {
        let number = call.parameters["id"] ?? ""
        do {
            _ = try call.carryOut(route, ["id": number], body)
        } catch let problem as Problem {
            return try show(call, try details(call), failure: problem)
        }
        return .redirect(route == "deleteCertificate" ? "/" : "/certificates/\(number)")
    }

    // MARK: Upload

    private static func uploadForm(_ call: PageCall, _ faults: PageParts.Faults, failure: Problem? = nil)
        -> AdminResponse
    {
        call.page(
            "Upload a certificate",
            """
            <h1>Upload a certificate</h1>
            \(failure.map(PageParts.failure))
            <form method="post" action="/add/certificate">\(call.tokenField)
            \(PageParts.textArea("Certificate and its chain, in PEM", "cert_pem", call.form, faults, takesFile: true))
            \(PageParts.textArea("Private key, in PEM", "key_pem", call.form, faults, takesFile: true, isSecret: true))
            \(PageParts.textField("Name (left out: made of its first domain)", "name", call.form, faults))
            <button>Upload</button></form>
            """, status: failure?.kind.status ?? 200)
    }

    private static func upload(_ call: PageCall) throws -> AdminResponse {
        var body: [(String, PlainValue)] = ["cert_pem", "key_pem"].map { name in
            (name, call.form.text(name) == nil ? .null : .string(call.form[name] ?? ""))
        }
        if let name = call.form.text("name") { body.append(("name", .string(name))) }
        do {
            let answer = try call.carryOut("createCertificate", [:], .map(body))
            return .redirect(PageParts.place(of: answer))
        } catch let problem as Problem {
            return uploadForm(call, PageParts.faults(problem), failure: problem)
        }
    }
}
