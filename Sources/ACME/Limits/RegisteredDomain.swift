import CPSL
import PKI

/// Finds the registered domain of a name, which is one label longer than a public suffix. The list of public suffixes
/// is built into libpsl.
enum RegisteredDomain {
    /// Returns the registered domain of a name in lower case. The name may be a wildcard. A public suffix or an IP
    /// address is returned unchanged.
    static func of(_ identifier: ACMEIdentifier) -> String {
        guard case .dns(let name) = identifier else { return identifier.text }
        let host = withoutWildcard(name)
        return unsafe host.withCString { text in
            // This is safe: the list is static, and the result points into `text`, which lives until the closure
            // returns.
            guard let domain = unsafe psl_registrable_domain(psl_builtin(), text) else { return host }
            return unsafe String(cString: domain)
        }
    }

    /// The name that the CA validates: a wildcard without its `*.`, any other name unchanged.
    static func withoutWildcard(_ name: String) -> String { name.hasPrefix("*.") ? String(name.dropFirst(2)) : name }
}
