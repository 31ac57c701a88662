import COpenSSL

extension PeerRules {
    /// Checks a certificate against the revocation lists of its issuer. If there is no list of that issuer, the check
    /// passes.
    ///
    /// An issuer may have several lists with the same scope (issuing distribution point). The newest list whose time of
    /// issue has passed counts. If the times of all lists are in the future, the newest list counts, since the issuer's
    /// clock may be ahead. If lists have the issuer's name but the issuer's key signed none of them, the check fails,
    /// since the issuer's real list is unknown.
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
        let current = Self.current(own, keysCount: unsafe issuer == nil, now: now)
        // This check comes before the check for overdue lists, since "revoked" tells the operator more.
        guard !current.contains(where: { $0.revokes(serial) }) else { throw PeerFault(.revoked, depth: depth) }
        guard acceptsOverdueLists || !current.contains(where: { $0.isOverdue(at: now) }) else {
            throw PeerFault(.listOverdue, depth: depth)
        }
    }

    /// Selects one list per scope. A list whose time of issue has passed takes precedence over a list with a future
    /// time. Otherwise the newer list takes precedence. With `keysCount`, lists with different key identifiers are kept
    /// apart, since several issuers may have the same name.
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
