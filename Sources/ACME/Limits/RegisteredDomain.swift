import CPSL
import PKI

/// Registered domains: what stands right below a public suffix, by the list that libpsl has built in.
enum RegisteredDomain {
    /// The registered domain of a name in lower case, a wildcard or not; the name itself where it is a public suffix. An
    /// address stands for itself.
    static func of(_ identifier: ACMEIdentifier) -> String {
        guard case .dns(let name) = identifier else { return identifier.text }
        let host = withoutWildcard(name)
        return unsafe host.withCString { text in
            // The list is static. The result points into the text, which lives as long as this closure runs.
            guard let domain = unsafe psl_registrable_domain(psl_builtin(), text) else { return host }
            return unsafe String(cString: domain)
        }
    }

    /// The name that a CA authorizes: for a wildcard, what stands behind the `*.`.
    static func withoutWildcard(_ name: String) -> String { name.hasPrefix("*.") ? String(name.dropFirst(2)) : name }
}
