import COpenSSL

extension PeerRules {
    /// Checks a certificate against the revocation lists of its issuer. If there is no list of that issuer, the check
    /// passes.
    ///
    /// Of the issuer's lists with the same scope (issuing distribution point), the newest counts. The check fails:
    /// - if one of these lists has the certificate's serial number;
    /// - if none of these lists can be used for the certificate. A usable list covers the certificate, its time of
    ///   issue has passed, and it is not overdue (unless the rules accept overdue lists);
    /// - if lists have the issuer's name but the issuer's key signed none of them, since the issuer's real list is
    ///   unknown.
    ///
    /// - Parameters:
    ///   - certificate: An `X509`.
    ///   - issuer: The issuer's `X509`, already verified. If nil, the lists are selected by the issuer's name and key
    ///     identifier.
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
        let current = RevocationList.current(own, keysCount: unsafe issuer == nil, now: now)
        // This check comes first, since "revoked" tells the operator more. A list that does not cover the certificate
        // counts too: an issuer gives each serial number only once.
        guard !current.contains(where: { $0.revokes(serial) }) else { throw PeerFault(.revoked, depth: depth) }
        let covering = current.filter { unsafe $0.scope.covers(certificate) }
        guard !covering.isEmpty else { throw PeerFault(.listMissing, depth: depth) }
        let begun = covering.filter { $0.hasBegun(at: now) }
        guard !begun.isEmpty else { throw PeerFault(.listNotYetValid, depth: depth) }
        guard acceptsOverdueLists || begun.contains(where: { !$0.isOverdue(at: now) }) else {
            throw PeerFault(.listOverdue, depth: depth)
        }
    }
}
