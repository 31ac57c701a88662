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
            guard let certificate = try authority(call.context) else {
                throw Problem(.notFound, "There is no local CA yet, or its certificate can't be read.")
            }
            let entries = [
                ZIPArchive.Entry(name: "aegis-local-ca.crt", content: Array(certificate.pem.utf8)),
                ZIPArchive.Entry(name: "README.txt", content: Array(readme(certificate).utf8)),
            ]
            return ("aegis-trust-bundle.zip", ZIPArchive.bytes(of: entries, time: certificate.notBefore))
        }
    ]

    /// The local CA's certificate; nil if there is none yet, or if it can't be read.
    static func authority(_ context: RequestContext) throws -> Certificate? {
        let record = try context.store.item(ItemID(single: .gateway))?.record
        let settings = record.flatMap(GatewaySettings.init(record:)) ?? GatewaySettings()
        return context.dependencies.localAuthority(settings.cacheDirectory, try context.store.directory() ?? ".")
    }

    /// The command that prints the certificate's fingerprint.
    static let command = "openssl x509 -in aegis-local-ca.crt -noout -fingerprint -sha256"

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
            "Chromium and Chrome on Linux (they have a store of their own)",
            """
            sudo apt-get install libnss3-tools   # RHEL, Fedora: nss-tools
            mkdir -p ~/.pki/nssdb
            certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n aegis-local-ca -i aegis-local-ca.crt
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
            ('\(command)'):

              \(certificate.opensslFingerprint)

            \(steps.joined(separator: "\n"))
            """
    }
}

extension Certificate {
    /// The SHA-256 fingerprint in the form that `TrustBundle.command` prints.
    var opensslFingerprint: String {
        let digits = Array(fingerprint.uppercased())
        let pairs = stride(from: 0, to: digits.count, by: 2).map { String(digits[$0..<min($0 + 2, digits.count)]) }
        return "sha256 Fingerprint=" + pairs.joined(separator: ":")
    }
}
