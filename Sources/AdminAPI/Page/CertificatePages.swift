import ConfigModel
import Gateway
import Operations
import PKI
import Reconciler
import State

/// The pages of a certificate, and the form that uploads one.
enum CertificatePages {
    static let routes: [PageRoute] = [
        .get("/certificates/{id}") { call in try show(call, try details(call)) },
        .post("/certificates/{id}/renew") { try change($0, "renewCertificate", .asked) },
        .post("/certificates/{id}/revoke") { call in
            try change(call, "revokeCertificate", .revoked, .map([("reason", .string(call.form.text("reason") ?? ""))]))
        },
        .form("/certificates/{id}/delete", askToDelete),
        .post("/certificates/{id}/delete") { call in
            try change(call, "deleteCertificate", .deleted, query: [("force", "true")])
        },
        .form("/add/certificate") { uploadForm($0) },
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
        let summary = details.summary
        let hosts = details.hosts.map { host -> HTML in "<li><a href=\"/hosts/\(host)\">\(host)</a></li>\n" }
        let names = summary.facts.domains.map { name -> HTML in "<li>\(name)</li>\n" }
        let warnings = details.warnings.map { warning -> HTML in
            "<li>\(PageParts.mark("warning", "Warning")) It \(warning)</li>\n"
        }
        let base = "/certificates/\(summary.number)"
        let hidden = try call.tagFields("getCertificate", "\(summary.number)")
        let renewal = call.mayChange && details.isRenewed ? PageParts.button(hidden, "\(base)/renew", "Renew now") : nil
        let isOurs = call.mayChange && summary.certificate.owner == .api
        let deletion: HTML? =
            isOurs && details.hosts.isEmpty ? "<a href=\"\(base)/delete\">Delete the certificate</a>" : nil
        let id = ItemID(.certificate, summary.certificate.name)
        let place = summary.certificate.owner == .file ? try FilePlace.of(id, call.context) : nil
        return call.page(
            summary.certificate.name,
            """
            <h1>\(summary.certificate.name)</h1>
            \(failure.map { FormFaults($0, []).alert() } ?? PageParts.done(call))
            <p data-live="state">\(state(summary.condition))</p>
            <ul class="problems" data-live="warnings">\(warnings)</ul>
            \(facts(details, place, call.now))
            <h2>Names</h2><ul>
            \(names)</ul>
            <h2>Hosts</h2>\(hosts.isEmpty ? "<p>No host refers to it.</p>" : "<ul>\n\(hosts)</ul>")
            \(served(details))
            <p><a href="/api/v1\(base)/chain.pem" download>Download the chain</a></p>
            <div class="actions">\(renewal)\(deletion)</div>
            \(revocationForm(call, details, base, hidden))
            \(try PageParts.latestEvents(of: [id], 20, in: call.store))
            """, status: failure?.kind.status ?? 200)
    }

    /// `place` is where the file declares the certificate; nil if the API owns it.
    private static func facts(_ details: CertificateDetails, _ place: String?, _ now: Int64) -> HTML {
        let (certificate, facts) = (details.summary.certificate, details.summary.facts)
        return PageParts.facts([
            ("Expires", PageParts.life(from: facts.notBefore, to: facts.expiresAt, now: now)),
            ("Issuer", "\(facts.issuerCommonName)"), ("Source", "\(facts.source.rawValue)"),
            ("Renewal", renewalText(details, now)),
            ("Last failure", details.progress?.lastFailure.map { "\($0)" }),
            ("Valid from", PageParts.time(facts.notBefore)), ("Valid to", PageParts.time(facts.expiresAt)),
            ("SHA-256 of the leaf", "<code>\(facts.fingerprint)</code>"),
            ("Owner", PageParts.owner(certificate.owner, "this certificate", place: place)),
        ])
    }

    /// A sentence about the names for which no host has a certificate of its own, so that clients get this one; nil if
    /// there are none.
    private static func served(_ details: CertificateDetails) -> HTML? {
        guard !details.freeNames.isEmpty else { return nil }
        return """
            <p>Clients that ask for \(details.freeNames.joined(separator: ", ")) get it, since no host has a certificate of
            its own for that.</p>
            """
    }

    private static func askToDelete(_ call: PageCall) throws -> AdminResponse {
        let details = try details(call)
        let (name, number) = (details.summary.certificate.name, details.summary.number)
        guard details.summary.certificate.owner == .api, details.hosts.isEmpty else { return try show(call, details) }
        let fields = try call.tagFields("getCertificate", "\(number)")
        return call.page(
            "Delete \(name)?",
            """
            <h1>Delete \(name)?</h1>
            \(served(details))
            <p>Its key is deleted with it. This can't be undone.</p>
            <div class="actions">\(PageParts.button(fields, "/certificates/\(number)/delete", "Delete"))
            <a href="/certificates/\(number)">Keep it</a></div>
            """)
    }

    /// A certificate's state as a word, with its problem or warning.
    static func state(_ condition: CertificateCondition?) -> HTML {
        if let problem = condition?.problem { return "\(PageParts.mark("bad", "Problem")) It \(problem)" }
        if let warning = condition?.warning { return "\(PageParts.mark("warning", "Warning")) It \(warning)" }
        return PageParts.mark("good", "Valid")
    }

    /// Nil for a certificate that no CA could revoke.
    private static func revocationForm(_ call: PageCall, _ details: CertificateDetails, _ base: String, _ hidden: HTML)
        -> HTML?
    {
        guard call.mayChange, details.canBeRevoked else { return nil }
        let fields = PageFields(form: call.form)
        let reasons = RevocationWord.allCases.map { ($0.rawValue, $0.rawValue.replacing("-", with: " ")) }
        return """
            <details><summary>Revoke it</summary>
            <form method="post" action="\(base)/revoke" data-question="Revoke this certificate? This can't be undone.">
            \(hidden)
            \(fields.choice("Reason", "reason", reasons))
            <button>Revoke</button></form></details>
            """
    }

    private static func renewalText(_ details: CertificateDetails, _ now: Int64) -> HTML {
        guard let due = details.renewsAt else { return "nobody renews it" }
        return due <= now ? "due now" : "due \(PageParts.time(due))"
    }

    private static func change(
        _ call: PageCall, _ route: String, _ done: Done, _ body: PlainValue = .object([]),
        query: [(name: String, value: String)] = []
    ) throws -> AdminResponse {
        let number = call.parameters["id"] ?? ""
        do {
            _ = try call.carryOut(route, ["id": number], body, query: query)
        } catch let problem as Problem {
            return try show(call, try details(call), failure: problem)
        }
        return .redirect("\(done == .deleted ? "/" : "/certificates/\(number)")?\(Done.parameter)=\(done.rawValue)")
    }

    // MARK: Upload

    private static let labels: [(name: String, label: String)] = [
        (name: "cert_pem", label: "Certificate and its chain, in PEM"), ("key_pem", "Private key, in PEM"),
        ("name", "Name (left out: made of its first domain)"),
    ]

    private static func uploadForm(_ call: PageCall, _ failure: Problem? = nil) -> AdminResponse {
        let fields = PageFields(form: call.form, faults: failure.map { FormFaults($0, labels) })
        return call.page(
            "Upload a certificate",
            """
            <h1>Upload a certificate</h1>
            \(fields.faults?.alert())
            <form method="post" action="/add/certificate">\(call.tokenField)
            \(fields.pem(labels[0].label, labels[0].name))
            \(fields.pem(labels[1].label, labels[1].name, isSecret: true))
            \(fields.text(labels[2].label, labels[2].name))
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
            return uploadForm(call, problem)
        }
    }
}
