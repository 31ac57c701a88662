import ConfigModel
import Issuers
import State

/// Checks that a certificate covers the hosts to which the file assigns it.
///
/// A new certificate is checked against its hosts before it is stored. This type checks a changed host against a
/// certificate that is stored already. Certificates from issuers are not checked, since Aegis reissues them with the
/// missing names, and the host is served meanwhile.
struct CertificateCoverage {
    let store: any StateStore
    /// The facts of certificates looked up so far; nil for a certificate that is not stored.
    private var known: [String: CertificateFacts?] = [:]

    init(store: any StateStore) { self.store = store }

    /// Why the certificate does not cover a changed host; nil if it does, or if it is not checked.
    mutating func failure(of change: Change, in configuration: Configuration) throws(StateError) -> IssuanceFailure? {
        guard case .host(let index) = change.declared?.place, let name = configuration.hosts[index].certificate,
            let facts = try facts(of: name), facts.source == .custom
        else { return nil }
        let uncovered = configuration.hosts[index].names.filter { !facts.covers([$0]) }
        guard !uncovered.isEmpty else { return nil }
        return IssuanceFailure(
            "certificate '\(name)' \(OwnCertificate.misses(uncovered, facts.domains))",
            hint: "the host stays as it was; give it a certificate that is for it")
    }

    /// Remembers the certificates that the mutations store, for later checks.
    mutating func learn(_ mutations: [StateMutation]) {
        for case .putCertificate(let certificate) in mutations { known[certificate.name] = certificate.facts }
    }

    private mutating func facts(of name: String) throws(StateError) -> CertificateFacts? {
        if let facts = known[name] { return facts }
        let facts = try store.certificate(named: name)?.facts
        known[name] = .some(facts)
        return facts
    }
}
