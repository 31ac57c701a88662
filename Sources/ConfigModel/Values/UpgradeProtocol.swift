/// The names of protocols that a connection can change to (RFC 9110 section 7.8).
package enum UpgradeProtocol {
    /// Whether requests could pass the gateway unchecked after a connection has changed to this protocol. True for HTTP
    /// of any version, and for TLS, which encrypts requests (RFC 2817).
    package static func hidesRequests(_ name: String) -> Bool {
        // The version follows "/", or "-" in the names of drafts (`h2c-14`).
        let base = name.lowercased().prefix { $0 != "/" && $0 != "-" }
        return ["h2", "h2c", "h3", "tls"].contains(base) || base.hasPrefix("http") || base.hasPrefix("spdy")
    }

    /// Whether the first character is a letter or a digit. A token such as `*` would be taken for a pattern.
    static func isName(_ name: String) -> Bool { name.first.map { $0.isLetter || $0.isNumber } ?? false }
}

extension ValueShape where Value == String {
    /// A protocol as the Upgrade field names it, such as `example/1`; the version is optional. The text is converted to
    /// lower case, since case does not count. The shape accepts every protocol, so that an older state with a protocol
    /// that is now forbidden can still be read. A rule checks which protocols are allowed.
    static let upgradeProtocol = text(
        "a protocol",
        .string("a protocol's name", pattern: "^[0-9A-Za-z][^/]*(/[^/]+)?$", examples: ["example/1"]),
        parse: { (text) throws(ValueFault) in
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.allSatisfy({ HeaderGrammar.isToken(String($0)) }) else {
                throw ValueFault("bad protocol \(text.quotedForMessage)", hint: "write its name, such as example/1")
            }
            return text.lowercased()
        },
        format: { $0 })
}
