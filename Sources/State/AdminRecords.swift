/// The parts of the state that only the admin API and its page use: tokens, sessions, remembered answers, and lists of
/// items and events. Long lists are read a page at a time.
package protocol AdminRecords {
    /// All tokens, sorted by name.
    func accessTokens() throws(StateError) -> [AccessToken]

    /// Adds a token and an event about it. Returns false, and changes nothing, when the name is taken or there are
    /// `AccessToken.most` tokens.
    func addAccessToken(_ token: AccessToken, event: AuditEvent) throws(StateError) -> Bool

    /// Deletes a token and adds an event about it. Returns false, and changes nothing, when there is no such token.
    func deleteAccessToken(named name: String, event: AuditEvent) throws(StateError) -> Bool

    /// Records that a token was used. Throws `StateError.busy` at once when another process is writing. A crash of the
    /// machine may lose the record.
    func noteUse(ofToken name: String, at now: Int64) throws(StateError)

    /// Adds a link that opens a session, and an event about it.
    func addLoginLink(_ link: LoginLink, event: AuditEvent) throws(StateError)

    /// Whether a link can still open a session.
    func hasLoginLink(digest: [UInt8], at now: Int64) throws(StateError) -> Bool

    /// Opens a session by a link, and deletes the link. Returns nil, and opens no session, when there is no such link
    /// or the link has expired.
    ///
    /// - Parameters:
    ///   - link: The digest of the link's secret.
    ///   - session: The digest of the session's secret.
    ///   - details: Further facts for the event about the new session.
    func openSession(byLink link: [UInt8], _ session: [UInt8], at now: Int64, details: [String: String])
        throws(StateError) -> AdminSession?

    /// The session with this digest; nil when there is none. It may be over (`AdminSession.isOver`).
    func session(digest: [UInt8]) throws(StateError) -> AdminSession?

    /// Records that a session was used. Throws `StateError.busy` at once when another process is writing. A crash of
    /// the machine may lose the record.
    func noteUse(ofSession digest: [UInt8], at now: Int64) throws(StateError)

    /// Ends a session and adds an event about it. Does nothing when there is no such session.
    func endSession(digest: [UInt8], event: AuditEvent) throws(StateError)

    /// The certificates that a query finds, sorted by number, without their keys.
    func certificates(_ query: CertificateQuery) throws(StateError) -> [NumberedCertificate]

    /// The certificate with a number, without its key; nil when there is none.
    func certificate(numbered number: Int64) throws(StateError) -> NumberedCertificate?

    /// The number of the certificate with this name; nil when there is none.
    func number(ofCertificate name: String) throws(StateError) -> Int64?

    /// The hosts whose names come after `name`, sorted by name, at most `limit`. With nil, the first hosts.
    func hosts(after name: String?, limit: Int) throws(StateError) -> [(name: String, item: StoredItem)]

    /// The hosts that may refer to a certificate: the host with the certificate's name, and hosts whose records contain
    /// that name.
    func hosts(mentioning certificate: String) throws(StateError) -> [(name: String, item: StoredItem)]

    /// The hosts that have any of these names as their domain or among their aliases, sorted by domain.
    func hosts(named names: [String]) throws(StateError) -> [(name: String, item: StoredItem)]

    /// All items of a kind other than `certificate`, sorted by name.
    func items(of kind: ItemKind) throws(StateError) -> [(name: String, item: StoredItem)]

    /// The stored answer to the actor's request with this key. Nil if there is none, or if it was stored before
    /// `since`, in seconds since 1970.
    func rememberedAnswer(to key: String, of actor: String, since: Int64) throws(StateError) -> RememberedAnswer?

    /// The events that meet a query's conditions, sorted by number; the newest first if the query says so.
    func events(_ query: EventQuery) throws(StateError) -> [NumberedEvent]

    /// Generations with smaller numbers than `number`, newest first, at most `limit`. With nil, the latest generations.
    func generations(before number: Int?, limit: Int) throws(StateError) -> [Generation]
}

/// A certificate in force with its number. The number stays the same while the certificate is renewed, kept and
/// restored, and no other certificate ever gets it.
package struct NumberedCertificate: Sendable, Equatable {
    package let number: Int64
    /// The certificate, with an empty key.
    package let certificate: StoredCertificate

    package init(number: Int64, certificate: StoredCertificate) {
        self.number = number
        self.certificate = certificate
    }
}

/// Which certificates to read. A certificate must meet all conditions that are set.
package struct CertificateQuery: Sendable {
    /// Only certificates with larger numbers than this one.
    package var after: Int64 = 0
    /// Only certificates that cover this name, by the name itself or by a wildcard. The name is in wire form
    /// (ConfigModel's `DomainName`): lower case, with A-labels in place of letters beyond ASCII.
    package var domain: String?
    package var source: CertificateFacts.Source?
    /// Only certificates that expire before this time, in seconds since 1970.
    package var expiresBefore: Int64?
    package var limit = 100

    package init() {}
}

package struct EventQuery: Sendable {
    /// Only events with larger numbers than this one.
    package var after: Int64 = 0
    /// Only events with smaller numbers than this one.
    package var before = Int64.max
    package var item: ItemID?
    package var limit = 100
    /// Whether the newest events come first, not the oldest.
    package var isNewestFirst = false

    package init() {}
}

/// An event with its number, which grows with each event.
package struct NumberedEvent: Sendable, Equatable {
    package let number: Int64
    package let event: AuditEvent

    package init(number: Int64, event: AuditEvent) {
        self.number = number
        self.event = event
    }
}
