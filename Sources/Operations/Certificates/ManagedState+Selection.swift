import ConfigModel
import Issuers
import State

extension ManagedState {
    /// The certificates of these names. Without names: all of them if `orAll`, else none. `forced` includes
    /// certificates that are not renewed automatically. Throws for a name that is unknown, or whose certificate Aegis
    /// does not renew.
    package func select(_ names: [String], orAll: Bool, forced: Bool = false) throws -> [ManagedCertificate] {
        if names.isEmpty { return orAll ? certificates.values.sorted { $0.name < $1.name } : [] }
        return try names.map { name in
            if let certificate = certificates[name] ?? (forced ? unrenewed[name] : nil) { return certificate }
            throw try obstacle(to: name)
        }
    }

    /// Why no certificate of that name can be renewed.
    private func obstacle(to name: String) throws -> OperationFailure {
        if let facts = stored[name] {
            return .notRenewed(name, facts, isHostDisabled: disabledHosts.contains(name))
        }
        guard try store.keptCertificate(named: name) == nil else {
            return OperationFailure(
                .notPossible,
                "the certificate '\(name)' is only kept: nothing in the file refers to it, so it is not renewed",
                hint: "an apply uses it again, and renews it if it is due, when the file declares it again")
        }
        return .noCertificate(name, among: certificates.keys.sorted())
    }

    /// The settings of the ACME issuer with this name. Throws if the state has none.
    package func acmeIssuer(named name: String) throws(OperationFailure) -> ACMEIssuer {
        if let settings = issuers[name]?.settings as? ACMEIssuer { return settings }
        let names = issuers.values.filter { $0.settings is ACMEIssuer }.map(\.name).sorted()
        throw OperationFailure(
            .missing, "there is no ACME issuer '\(name)' in the state",
            hint: names.isEmpty ? "aegis-apply puts them there" : "there are: \(names.joined(separator: ", "))")
    }

    /// Whether to ask the CA of a certificate for renewal advice, before a command decides what is due. The CA is not
    /// asked if the certificate is due already, or during a pause. A pause follows a renewal that advice has caused,
    /// and an answer without advice. A CA that has given advice is asked again, since it may have changed its mind.
    package func mayBeAdvised(_ certificate: ManagedCertificate, now: Int64) -> Bool {
        guard let facts = stored[certificate.name], facts.source.provider?.givesAdvice == true,
            !isWanted(certificate, now: now)
        else { return false }
        guard let progress = progress[certificate.name], progress.advisedFingerprint == facts.fingerprint else {
            return true
        }
        return progress.advisedAt != nil || progress.nextAdviceAt ?? 0 <= now
    }
}

extension OperationFailure {
    /// The failure for a stored certificate that nobody renews.
    static func notRenewed(_ name: String, _ facts: CertificateFacts, isHostDisabled: Bool) -> OperationFailure {
        if isHostDisabled, facts.source != .custom {
            return OperationFailure(
                .notPossible, "the host '\(name)' is disabled, so its certificate is not renewed",
                hint: "it is renewed, if it is due, when the host is enabled again")
        }
        return OperationFailure(
            .notPossible, "the certificate '\(name)' is not renewed by Aegis",
            hint: facts.source == .custom || facts.autoRenew
                ? "your own certificates are replaced by an apply" : "its auto_renew is false; --force reissues it")
    }

    /// The failure for a name that no certificate has.
    package static func noCertificate(_ name: String, among names: [String]) -> OperationFailure {
        let near = Suggestion.nearest(to: name, in: names.prefix(10_000))
        return OperationFailure(
            .missing, "there is no certificate '\(name)'",
            hint: near.map { "did you mean '\($0)'?" } ?? "'aegis-apply certificates' lists them")
    }
}
