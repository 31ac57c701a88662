/// A server of HashiCorp Vault or OpenBao, and how Aegis logs in there.
package struct VaultServer: Sendable, Equatable, NamedValue {
    /// The name by which identities and issuers refer to the Vault.
    package var name = ""
    /// The place of the name in the file.
    package var origin = SourceOrigin.none
    /// The server's URL, without `/v1`: https, or http to this machine.
    package var address = ServiceURL("")
    /// A PEM file of CAs that are trusted for the server; nil for the system's CAs.
    package var caFile: String?
    /// The namespace of all requests; nil: the root namespace.
    package var namespace: String?
    package var login = VaultLogin.token(Secret(.inline("")))

    static let shape = ObjectShape<VaultServer>(
        "a Vault", "A server of HashiCorp Vault or OpenBao", initial: VaultServer(),
        fields: [
            .required("address", \.address, .vaultAddress, "Its URL: https, or http to this machine"),
            .optional("ca_file", \.caFile, .path, "CAs trusted for it, in PEM; else the system's"),
            .optional("namespace", \.namespace, .vaultPath, "The namespace of all requests"),
            .required("auth", \.login, VaultLogin.shape, "How Aegis logs in"),
        ])

    package var secrets: [Secret] { login.secrets }
}

extension ValueShape where Value == String {
    /// The shape of the path of a mount, a secret or a namespace in Vault. Slashes at the ends of the path are removed.
    static let vaultPath = text(
        "a path in Vault", .string("A path in Vault", examples: ["team/pki"]),
        parse: { (text) throws(ValueFault) in
            let segments = text.split(separator: "/", omittingEmptySubsequences: false)
            let inner = Array(segments.drop(while: \.isEmpty).reversed().drop(while: \.isEmpty).reversed())
            let isPath = inner.allSatisfy {
                !$0.isEmpty && $0 != "." && $0 != ".." && $0.utf8.allSatisfy(isOfVaultPath)
            }
            guard !inner.isEmpty, isPath, text.utf8.count <= 500 else {
                throw ValueFault(
                    "bad path in Vault \(text.quotedForMessage)",
                    hint: "it is made of letters, digits, '-', '_', '.', '~', '@', ':', '+' and '=', with '/' between")
            }
            return inner.joined(separator: "/")
        },
        format: { $0 })

    private static func isOfVaultPath(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-_.~@:+=".utf8.contains(byte)
        }
    }
}

extension ValueShape where Value == ServiceURL {
    /// The shape of a Vault's address: a URL without a query, since paths are appended to it.
    fileprivate static let vaultAddress = text(
        "a URL", .string("An https URL; http only to this machine", examples: ["https://vault.example.com:8200"]),
        parse: { (text) throws(ValueFault) in
            guard !text.contains("?") else {
                throw ValueFault("the address of a Vault has no query", hint: "write it as https://host:8200")
            }
            let path = text.reversed().drop { $0 == "/" }.reversed()
            guard !path.suffix(3).elementsEqual("/v1") else {
                throw ValueFault(
                    "the address of a Vault has no '/v1'", hint: "leave it out: Aegis adds it to each call")
            }
            return try ServiceURL.parse(text, allowsLoopback: true)
        },
        format: \.text
    ).defined(as: "vault_address")
}
