import CPSL
import PKI

/// Finds registered domains, which are one label below a public suffix, by the list that libpsl contains.
enum RegisteredDomain {
    /// The registered domain of a name in lower case, which may be a wildcard; a public suffix or an address is
    /// returned unchanged.
    static func of(_ identifier: ACMEIdentifier) -> String {
        guard case .dns(let name) = identifier else { return identifier.text }
        let host = withoutWildcard(name)
        return unsafe host.withCString { text in
            // Sound: the list is static, and the result points into the text, which lives as long as this closure runs.
            guard let domain = unsafe psl_registrable_domain(psl_builtin(), text) else { return host }
            return unsafe String(cString: domain)
        }
    }

    /// The name that a CA authorizes: for a wildcard, the name without the `*.`.
    static func withoutWildcard(_ name: String) -> String { name.hasPrefix("*.") ? String(name.dropFirst(2)) : name }
}
