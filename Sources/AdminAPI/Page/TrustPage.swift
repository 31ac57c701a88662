import Gateway

/// How browsers and systems come to trust the local CA.
enum TrustPage {
    static let routes: [PageRoute] = [
        .get("/trust") { call in
            let steps = TrustBundle.steps.map { step -> HTML in
                "<h2>\(step.system)</h2>\n<pre><code>\(step.text)</code></pre>\n"
            }
            let fingerprint = try TrustBundle.authority(call.context).map { certificate -> HTML in
                """
                <p>Compare its fingerprint with what the gateway's machine prints:</p>
                <pre><code>\(TrustBundle.command)
                \(certificate.opensslFingerprint)</code></pre>
                """
            }
            return call.page(
                "Trust the local CA",
                """
                <h1>Trust the local CA</h1>
                <p>The local CA has issued this page's certificate. A machine that trusts the CA shows no warning here, and
                trusts all that the CA issues.</p>
                <p><a href="/api/v1/settings/admin-trust-bundle" download>Download its certificate, with these steps</a></p>
                \(fingerprint)
                \(steps)
                """)
        }
    ]
}
