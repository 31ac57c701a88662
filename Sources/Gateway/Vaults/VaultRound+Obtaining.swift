import Materials
import PKI
import State
import Vault

/// The calls of the Vault that obtain an identity.
extension VaultRound {
    // MARK: Certificates

    /// Obtains a certificate from the Vault. The state has the key before the request is sent, so the next attempt
    /// after a crash uses the same key.
    func obtain(_ name: String, _ order: VaultCertificateOrder, _ session: VaultSession) throws {
        try exclusively(name, isNeeded: { $0.isDue(at: GatewayServer.now) }) { store in
            // The CAs are requested first, so that the certificate is stored right after it arrives.
            let issuers = try? session.authorities(ofMount: order.mount)?.map(\.der)
            let key = try self.key(for: name, store)
            let signed = try session.sign(order, key: key)
            for note in signed.notes { log.warning("the identity '\(name)': \(note)") }
            let authorities = authorities(name, issuers, answered: signed.authorities.map(\.der))
            try accept(try identity(signed.chain, key, authorities, order), name)
        }
    }

    /// Puts the mount's present CAs in force, since peers may already have certificates of a new CA.
    func lookAtAuthorities(_ name: String, _ order: VaultCertificateOrder, _ session: VaultSession) throws {
        guard let present = entries[name]?.identity,
            let authorities = try session.authorities(ofMount: order.mount)?.map(\.der), !authorities.isEmpty,
            Set(authorities) != Set(present.authorities)
        else { return looked(name) }
        try exclusively(name, isNeeded: { !$0.isDue(at: GatewayServer.now) }) { _ in
            guard let present = entries[name]?.identity else { return }
            try accept(try identity(present.chain, present.key, authorities, order), name)
        }
    }

    /// The key of an interrupted request, or else a new key, which is stored before it is used.
    private func key(for name: String, _ store: (any StateStore)?) throws -> PrivateKey {
        guard let entry = entries[name], let work else { throw IdentityFault("it is no longer declared") }
        guard let store else { return try .generate(.ecdsaP256) }
        if let begun = try store.identityRequest(for: name), begun.declaration == entry.declaration.digest,
            let der = try? begun.openKey(work.sealer), let key = try? PrivateKey(der: der)
        {
            return key
        }
        let key = try PrivateKey.generate(.ecdsaP256)
        let request = try IdentityRequest(
            name: name, declaration: entry.declaration.digest, key: key, sealer: work.sealer, now: GatewayServer.now)
        do {
            try store.putIdentityRequest(request, by: .current())
        } catch {
            // An identity that is missing or about to expire is obtained even if the key can't be stored.
            guard entry.plan.isUrgent(at: GatewayServer.now), error != .leaseLost else { throw error }
            log.warning("the request for the identity '\(name)' can't be stored: \(error)")
        }
        return key
    }

    /// The CAs of all issuers of the mount. If the mount did not list its issuers, these are the CAs in the answer and
    /// those of the former identity.
    private func authorities(_ name: String, _ issuers: [[UInt8]]?, answered: [[UInt8]]) -> [[UInt8]] {
        if let issuers, !issuers.isEmpty { return issuers }
        return answered + (entries[name]?.identity?.authorities ?? []).filter { !answered.contains($0) }
    }

    private func identity(
        _ chain: CertificateChain, _ key: PrivateKey, _ authorities: [[UInt8]], _ order: VaultCertificateOrder
    ) throws -> Identity {
        let place = "the answer of '\(order.mount)'"
        return try Identity(
            certificate: Array(chain.certificates.map(\.pem).joined().utf8), key: key,
            authorities: authorities.flatMap { Array(PEM.text("CERTIFICATE", $0).utf8) },
            origin: IdentityOrigin(
                certificate: place, key: "the new key", authorities: "the issuers of '\(order.mount)'"),
            now: GatewayServer.now)
    }

    // MARK: Secrets

    /// Reads a certificate and its key from a secret of the Vault.
    func read(_ name: String, _ place: VaultSecretPlace, _ session: VaultSession) throws {
        let former = entries[name]?.plan.present?.secretVersion
        // Another gateway may have stored the new version in the meantime. Then the Vault is not asked.
        try exclusively(name, isNeeded: { $0.isDue(at: GatewayServer.now) || $0.present?.secretVersion == former }) {
            _ in
            let secret = try session.secret(at: place)
            let at = { (member: String) in "'\(member)' of '\(place.mount)/\(place.path)'" }
            let identity = try Identity(
                certificate: secret.certificate.plainCopy(), key: secret.key,
                authorities: secret.authorities?.plainCopy(),
                origin: IdentityOrigin(
                    certificate: at(place.certificate), key: at(place.key), authorities: at(place.authorities ?? "")),
                now: GatewayServer.now)
            let isKnown = identity.version == entries[name]?.identity?.version && secret.version == former
            if isKnown, entries[name]?.plan.isDue(at: GatewayServer.now) == false {
                return looked(name, hasRead: true)
            }
            try accept(identity, name, secretVersion: secret.version)
        }
    }
}
