import ConfigModel
import Issuers
import PKI
import State

/// A certificate with its key, as it was sent.
package struct SentCertificate: Sendable {
    /// PEM, the leaf first.
    package let chain: SecretBytes
    /// PEM, not encrypted.
    package let key: SecretBytes
    /// The name by which hosts will refer to it; nil for one that is made from its first domain.
    package let name: String?
    /// Names that it must cover.
    package let domains: [DomainName]

    package init(chain: SecretBytes, key: SecretBytes, name: String? = nil, domains: [DomainName] = []) {
        self.chain = chain
        self.key = key
        self.name = name
        self.domains = domains
    }
}

extension SentCertificate {
    /// The faults of a private key that was sent as the chain, and of a certificate that was sent as the key.
    fileprivate func misplacedTexts(_ places: OwnedItems.Places) -> [OperationFailure.Fault] {
        var faults: [OperationFailure.Fault] = []
        if let chain = PEM.Content(chain), chain.hasKey, !chain.hasCertificate {
            faults.append(.init(at: places.chain, "it is a private key, not a certificate"))
        }
        if let key = PEM.Content(key), key.hasCertificate, !key.hasKey {
            faults.append(.init(at: places.key, "it is a certificate, not a private key"))
        }
        return faults
    }
}

extension OwnedItems {
    /// The JSON pointers by which faults name the chain and the key.
    package struct Places: Sendable {
        package let chain: String
        package let key: String

        package init(chain: String, key: String) {
            self.chain = chain
            self.key = key
        }
    }

    /// Examines a certificate that was sent, and seals its key. `name` is that of the certificate which it replaces; nil
    /// for a new one.
    package func examine(
        _ sent: SentCertificate, replacing name: String? = nil, at places: Places, _ sealer: Sealer
    ) throws -> StoredCertificate {
        let misplaced = sent.misplacedTexts(places)
        guard misplaced.isEmpty else {
            throw OperationFailure(.invalid, "the certificate can't be used", faults: misplaced)
        }
        let obtained: ObtainedCertificate
        do throws(OwnCertificate.Fault) {
            obtained = try OwnCertificate.examine(sent: sent.chain, key: sent.key, now: now)
        } catch {
            throw OperationFailure(
                .invalid, "the certificate can't be used",
                faults: [OperationFailure.Fault(at: error.isOfKey ? places.key : places.chain, error.reason)])
        }
        let leaf = obtained.material.chain.leaf
        guard !leaf.names.isEmpty else {
            throw OperationFailure(
                .invalid, "the certificate can't be used",
                faults: [OperationFailure.Fault(at: places.chain, "it is for no name (subject alternative name)")])
        }
        let uncovered = sent.domains.enumerated().filter { !leaf.covers($0.element.text) }
        guard uncovered.isEmpty else {
            let names = leaf.names.prefix(5).map(\.text).joined(separator: ", ")
            throw OperationFailure(
                .invalid, "the certificate is not for all these domains",
                faults: uncovered.map { OperationFailure.Fault(at: "/domains/\($0.offset)", "it is for \(names)") })
        }
        let name = try name ?? self.name(of: sent, fingerprint: leaf.fingerprint, leaf.names.first?.text)
        return try stored(obtained, named: name, sealer)
    }

    /// The row of a certificate that the API owns and nobody renews.
    func stored(_ obtained: ObtainedCertificate, named name: String, _ sealer: Sealer) throws -> StoredCertificate {
        // The record must not say more of the key than that it belongs to the leaf.
        let mark = String(obtained.material.chain.leaf.fingerprint.prefix(8))
        let record = NamedCertificate(own: name, mark: mark).record(.compact).json()
        try checkName(name, record)
        do throws(IssuanceFailure) {
            return try obtained.stored(named: name, owner: .api, record: record, sealer: sealer, now: now)
        } catch {
            throw OperationFailure(.notPossible, error.reason)
        }
    }

    /// Refuses a name that the file's rules refuse.
    package func checkName(_ name: String) throws {
        try checkName(name, NamedCertificate(own: name, mark: "any").record(.compact).json())
    }

    private func checkName(_ name: String, _ record: [UInt8]) throws {
        var file = ItemFile()
        file.add(record, named: name, to: .certificates)
        if let fault = file.faults().first {
            throw OperationFailure(
                .invalid, "the certificate breaks rules",
                faults: [OperationFailure.Fault(at: "/name", fault.hint ?? fault.message)])
        }
    }

    private func name(of sent: SentCertificate, fingerprint: String, _ domain: String?) throws -> String {
        let name = sent.name ?? Self.name(for: domain ?? "certificate", fingerprint)
        guard try isTaken(name) else { return name }
        throw OperationFailure(
            .nameTaken,
            sent.name == nil
                ? "this certificate is there already, as '\(name)'"
                : "there is a certificate of this name, or one is made for a host of this name",
            hint: sent.name == nil ? "give that one to the host, or send a name for another copy" : "send another name",
            faults: sent.name == nil ? [] : [OperationFailure.Fault(at: "/name", "is taken")])
    }

    /// Whether a certificate has the name, in force or kept, or one that is made for a host will have it.
    func isTaken(_ name: String) throws -> Bool {
        try store.certificate(named: name) != nil || store.keptCertificate(named: name) != nil
            || store.item(ItemID(.host, name)).flatMap { Host(record: $0.record) }?.sslMode == .letsencrypt
    }

    /// A name of at most 100 bytes that no other leaf gets.
    static func name(for domain: String, _ fingerprint: String) -> String {
        let plain = domain.hasPrefix("*.") ? "wildcard" + domain.dropFirst() : domain
        let safe = plain.unicodeScalars.prefix(80).map { scalar in
            scalar.isASCII && scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) || scalar == "."
                ? Character(scalar) : "-"
        }
        return String(safe) + "-\(fingerprint.prefix(16))"
    }

    package func store(_ certificate: StoredCertificate) -> Change {
        Change(item: ItemID(.certificate, certificate.name), mutations: [.putCertificate(certificate)])
    }

    /// `isForced`: whether to delete a certificate that is served although no host refers to it.
    package func deleteCertificate(numbered number: Int64, isForced: Bool = false) throws -> Change {
        let use = try certificate(numbered: number)
        let id = ItemID(.certificate, use.certificate.name)
        try refuseFileOwned(id, use.certificate.owner)
        guard use.hosts.isEmpty else {
            let names = use.hosts.prefix(10).map(\.name).joined(separator: ", ")
            throw OperationFailure(
                .inUse, "it is used by \(names)\(use.hosts.count > 10 ? ", …" : "")",
                hint: "give them another certificate first")
        }
        let served = isForced ? [] : try use.namesWithoutOther(in: store)
        guard served.isEmpty else {
            let names = served.prefix(10).joined(separator: ", ")
            throw OperationFailure(
                .inUse,
                "clients of \(names)\(served.count > 10 ? ", …" : "") get it, and there is no other one for them",
                hint: "to delete it nevertheless, add 'force=true' to the query")
        }
        return Change(item: id, mutations: [.deleteItem(id)])
    }

    /// Makes a gateway renew a certificate soon, even if it is not due.
    package func renewCertificate(numbered number: Int64) throws -> Change {
        let use = try certificate(numbered: number)
        let facts = use.certificate.facts
        guard use.renewed != nil else { throw use.obstacle }
        return Change(
            item: ItemID(.certificate, use.certificate.name),
            mutations: [
                .requestRenewal(certificate: use.certificate.name, fingerprint: facts.fingerprint, now: now)
            ])
    }

    /// Makes a gateway obtain or renew the certificate of a host soon, even if it waits after a failure.
    package func renewCertificate(ofHost name: String) throws -> Change {
        guard let host = try store.item(ItemID(.host, name)).flatMap({ Host(record: $0.record) }) else {
            throw OperationFailure(.missing, "there is no host with this domain")
        }
        guard let own = host.certificateName else {
            throw OperationFailure(.notPossible, "the host has no certificate of its own")
        }
        if let number = try store.number(ofCertificate: own) { return try renewCertificate(numbered: number) }
        guard host.sslMode == .letsencrypt, host.enabled else {
            throw OperationFailure(.notPossible, "no gateway obtains the certificate '\(own)'")
        }
        return Change(
            item: ItemID(.certificate, own), mutations: [.requestRenewal(certificate: own, fingerprint: nil, now: now)])
    }

    /// Asks the CA of a certificate to revoke it, which may take long. `issuance` is the context for this call.
    package func revokeCertificate(
        numbered number: Int64, _ reason: RevocationWord, _ issuance: IssuanceContext
    ) throws -> Change {
        let name = try certificate(numbered: number).certificate.name
        let keeper: LeaseKeeper
        do {
            keeper = try LeaseKeeper(.certificate(name), in: store)
        } catch let held as LeaseKeeper.Held {
            let other = held.lease.holder
            throw OperationFailure(
                .notPossible, "process \(other.process) on \(other.machine) is obtaining another one",
                hint: "try again when it is done")
        }
        do {
            guard let stored = try store.certificate(named: name) else {
                throw OperationFailure(.missing, "there is no certificate in force with this id")
            }
            let issuers = try ManagedState(store, only: [name]).issuers
            let revocation = try Revocation(of: stored, reason.code, among: issuers)
            _ = try revocation.carryOut(by: CertificateSources(revoking: issuance))
            return Change(item: ItemID(.certificate, name), mutations: [revocation.mark(now: now)], lease: keeper)
        } catch {
            keeper.release()
            throw error
        }
    }

    private func certificate(numbered number: Int64) throws -> CertificateUse {
        guard let found = try store.certificate(numbered: number) else {
            throw OperationFailure(.missing, "there is no certificate in force with this id")
        }
        return try CertificateUse(of: found.certificate, in: store)
    }
}
