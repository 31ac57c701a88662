import Glibc

/// Adds TXT records to a zone and removes them by dynamic updates (RFC 2136).
package struct DNSUpdater: Sendable {
    private let server: DNSServer
    private let zone: DNSName
    private let signature: TSIG?
    private let timeout: Duration
    private let tries: Int

    /// - Parameters:
    ///   - server: The zone's primary server.
    ///   - zone: The zone's topmost name. It must contain all names to update.
    ///   - key: The key that signs updates. Answers must be signed with the same key. Nil means no signatures.
    ///   - timeout: The time limit for the server's answer.
    ///   - tries: How many times an update is sent at most. A repeated update has no further effect.
    package init(
        server: DNSServer, zone: String, key: DNSUpdateKey? = nil, timeout: Duration = .seconds(5), tries: Int = 3
    ) throws(DNSFailure) {
        self.server = server
        self.zone = try DNSName(zone)
        signature = key.map(TSIG.init)
        self.timeout = timeout
        self.tries = tries
    }

    /// Adds a TXT record to a name and keeps the name's other records. `timeToLive` is in seconds.
    package func add(txt value: String, at name: String, timeToLive: UInt32) throws(DNSFailure) {
        try update(name, value, timeToLive)
    }

    /// Removes a TXT record from a name. Does nothing if the record does not exist.
    package func remove(txt value: String, at name: String) throws(DNSFailure) { try update(name, value, nil) }

    private func update(_ name: String, _ value: String, _ timeToLive: UInt32?) throws(DNSFailure) {
        let name = try DNSName(name)
        guard name.isInside(zone) else { throw DNSFailure("'\(name)' is not in the zone '\(zone)'") }
        // With this limit, the update fits into the 64 KiB of a DNS message.
        guard value.utf8.count <= 4096 else { throw DNSFailure("the text for '\(name)' is longer than 4096 bytes") }
        let message = DNSMessage.update(zone: zone, name: name, txt: value, timeToLive: timeToLive)
        let exchange = DNSExchange(server: server, timeout: timeout)
        var failure = DNSFailure("\(server): the update was not sent")
        for _ in 0..<tries {
            let (bytes, code) = try signature?.signed(message.bytes, now: Self.now) ?? (message.bytes, [])
            do throws(DNSFailure) {
                let (answer, answered) = try exchange.send(message, bytes)
                guard let refusal = refusal(in: answer, answered, to: code) else { return }
                throw refusal
            } catch {
                failure = error
            }
        }
        throw failure
    }

    /// Returns the reason why an answer does not confirm the update. Returns nil if the answer confirms it.
    private func refusal(in answer: DNSAnswer, _ bytes: [UInt8], to code: [UInt8]) -> DNSFailure? {
        guard answer.code == DNSResponseCode.noError else {
            let words = DNSResponseCode.words(answer.code)
            return DNSFailure("\(server): updating '\(zone)': \(words)", hint: hint(for: answer))
        }
        do {
            try signature?.check(answer, in: bytes, to: code, now: Self.now)
            return nil
        } catch {
            let reason =
                switch error {
                case .unsigned: "it is not signed"
                case .otherKey: "it is signed with another key"
                case .wrongCode: "its signature is wrong"
                case .wrongTime: "it was signed at another time: clocks differ"
                }
            return DNSFailure("\(server): updating '\(zone)': the answer can't be trusted: \(reason)")
        }
    }

    private func hint(for answer: DNSAnswer) -> String? {
        let isRefusal = [DNSResponseCode.notAuthorized, DNSResponseCode.refused].contains(answer.code)
        guard isRefusal else { return nil }
        guard let key = signature?.key.name else { return "does it take updates of '\(zone)' without a TSIG key?" }
        return switch TSIG.error(of: answer) {
        case 16: "the secret of the TSIG key '\(key)' is not the server's"
        case 17: "the server does not know the TSIG key '\(key)', or not with this algorithm, or not for this"
        case 18: "its clock and this machine's differ by more than 5 minutes"
        default: "is it the primary server of '\(zone)', and may the TSIG key '\(key)' update this name?"
        }
    }

    /// Seconds since 1970.
    private static var now: Int64 { Int64(time(nil)) }
}
