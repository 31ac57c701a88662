import COpenSSL

extension PeerRules {
    /// Looks a certificate up in the revocation lists of its issuer. If no list names the issuer, nothing is checked.
    ///
    /// Among an issuer's lists for the same scope, the newest that has begun counts. If none has begun, a future one
    /// counts: the issuer did revoke the certificates on it, and its clock may be ahead of ours. If lists name the
    /// issuer but none is signed by its key, the certificate is refused, since nobody knows what the issuer revoked.
    ///
    /// - Parameters:
    ///   - certificate: An `X509`.
    ///   - issuer: The issuer's verified `X509`. If it is nil, the issuer's name and key identifier select the lists.
    ///   - now: In seconds since 1970.
    func checkLists(
        of certificate: OpaquePointer, issuer: OpaquePointer?, now: Int64, depth: Int
    ) throws(PeerFault) {
        guard !lists.isEmpty else { return }
        let named = lists.filter { unsafe $0.isIssued(by: X509_get_issuer_name(certificate)) }
        guard !named.isEmpty else { return }
        var own = named
        if let issuer = unsafe issuer {
            own = named.filter { unsafe $0.isSigned(by: issuer) }
            guard !own.isEmpty else { throw PeerFault(.listForeign, depth: depth) }
        } else if let key = unsafe X509_get0_authority_key_id(certificate).map({ unsafe OpenSSL.bytes(of: $0) }) {
            own = named.filter { $0.authorityKey == nil || $0.authorityKey == key }
        }
        guard let number = unsafe X509_get0_serialNumber(certificate) else {
            throw PeerFault(.unreadable, depth: depth)
        }
        let serial = unsafe SerialNumber(number)
        let current = Self.current(own, keysCount: unsafe issuer == nil, now: now)
        // Before the check for overdue lists: revoked is the more useful reason.
        guard !current.contains(where: { $0.revokes(serial) }) else { throw PeerFault(.revoked, depth: depth) }
        guard acceptsOverdueLists || !current.contains(where: { $0.isOverdue(at: now) }) else {
            throw PeerFault(.listOverdue, depth: depth)
        }
    }

    /// The list that counts for each scope: the newest that has begun, or the newest of all if none has. With
    /// `keysCount`, lists of different keys are kept apart, since several issuers may share one name.
    private static func current(_ lists: [RevocationList], keysCount: Bool, now: Int64) -> [RevocationList] {
        struct Part: Hashable {
            let scope: [UInt8]
            let key: [UInt8]?
        }
        var newest: [Part: RevocationList] = [:]
        for list in lists {
            let part = Part(scope: list.scope, key: keysCount ? list.authorityKey : nil)
            guard let other = newest[part] else {
                newest[part] = list
                continue
            }
            let isBegun = (list.thisUpdate <= now, other.thisUpdate <= now)
            let isNewer = isBegun.0 == isBegun.1 ? list.thisUpdate > other.thisUpdate : isBegun.0
            if isNewer { newest[part] = list }
        }
        return Array(newest.values)
    }
}
