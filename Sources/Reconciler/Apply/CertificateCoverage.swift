import ConfigModel
import Issuers
import State

/// Whether hosts may have the certificates that the file gives them.
///
/// A new certificate is held against its hosts before it is stored; this holds a changed host against one that is stored
/// already. What an issuer is to make anew for more names is not asked: its host is served with what there is.
struct CertificateCoverage {
    let store: any StateStore
    /// What is known of the certificates that were asked for; nil for those that are not stored.
    private var known: [String: CertificateFacts?] = [:]

    init(store: any StateStore) { self.store = store }

    /// Why a changed host can't be put; nil when it can.
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

    /// Notes what is put into the state.
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
