import ConfigModel
import PKI
import State

/// The local CA's certificate, with the steps by which browsers and systems come to trust it.
enum TrustBundle {
    static let routes: [Route] = [
        .file(
            "/api/v1/settings/admin-trust-bundle", "getTrustBundle",
            "A ZIP archive with the local CA's certificate and the steps to trust it", type: "application/zip"
        ) { call in
            let certificate = try authority(call)
            let entries = [
                ZIPArchive.Entry(name: "aegis-local-ca.crt", content: Array(certificate.pem.utf8)),
                ZIPArchive.Entry(name: "README.txt", content: Array(readme(certificate).utf8)),
            ]
            return ("aegis-trust-bundle.zip", ZIPArchive.bytes(of: entries, time: certificate.notBefore))
        }
    ]

    private static func authority(_ call: Call) throws -> Certificate {
        let record = try call.store.item(ItemID(single: .gateway))?.record
        let settings = record.flatMap(GatewaySettings.init(record:)) ?? GatewaySettings()
        guard
            let certificate = call.dependencies.localAuthority(
                settings.cacheDirectory, try call.store.directory() ?? ".")
        else { throw Problem(.notFound, "There is no local CA yet, or its certificate can't be read.") }
        return certificate
    }

    /// What makes systems trust the certificate, whose file is `aegis-local-ca.crt`.
    static let steps: [(system: String, text: String)] = [
        (
            "macOS",
            """
            sudo security add-trusted-cert -d -r trustRoot \\
              -k /Library/Keychains/System.keychain aegis-local-ca.crt
            """
        ), ("Windows (as administrator)", "certutil -addstore -f ROOT aegis-local-ca.crt"),
        (
            "Debian, Ubuntu",
            """
            sudo cp aegis-local-ca.crt /usr/local/share/ca-certificates/
            sudo update-ca-certificates
            """
        ),
        (
            "RHEL, Fedora",
            """
            sudo cp aegis-local-ca.crt /etc/pki/ca-trust/source/anchors/
            sudo update-ca-trust
            """
        ),
        (
            "Firefox (it has a store of its own)",
            """
            Settings > Privacy & Security > Certificates > View Certificates > Authorities
            > Import, and choose "Trust this CA to identify websites".
            """
        ),
    ]

    private static func readme(_ certificate: Certificate) -> String {
        let steps = steps.map { system, text in
            "\(system)\n" + text.split(separator: "\n").map { "  \($0)\n" }.joined()
        }
        return """
            This is the certificate of the local CA of an Aegis gateway. Whoever trusts it
            trusts the admin page, and all that this CA issues.

            First compare the SHA-256 fingerprint with the one that the gateway's machine shows
            ('openssl x509 -in aegis-local-ca.crt -noout -fingerprint -sha256'):

              \(certificate.fingerprint)

            \(steps.joined(separator: "\n"))
            """
    }
}
