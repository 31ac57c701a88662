/// Asks name servers for records.
package struct DNSLookup: Sendable {
    /// A CAA record, which says which CAs may issue for a name (RFC 8659 section 4).
    package struct CAARecord: Sendable, Hashable {
        /// The flags. With 128 (critical) set, a CA that does not know the tag may not issue.
        package let flags: UInt8
        /// The property's tag in lower case, such as issue, issuewild or iodef.
        package let tag: String
        package let value: String
    }

    /// A zone: a part of the DNS with its own name servers.
    package struct Zone: Sendable, Hashable {
        /// The zone's topmost name.
        package let name: String
        /// The names of the zone's servers, in alphabetical order.
        package let nameServers: [String]
    }

    private let servers: [DNSServer]
    private let timeout: Duration
    private let tries: Int

    /// Makes a lookup.
    ///
    /// - Parameters:
    ///   - servers: The servers to ask, in this order until one answers; empty: those of /etc/resolv.conf.
    ///   - timeout: How long a server may take for an answer. How long the lookup of the server's own name takes
    ///     depends on the system's resolver.
    ///   - tries: How often to ask each server.
    package init(servers: [DNSServer] = [], timeout: Duration = .seconds(5), tries: Int = 2) {
        self.servers = servers
        self.timeout = timeout
        self.tries = tries
    }

    /// The texts at a name, or at the name that it is an alias of. The parts of each text are joined. Empty when there
    /// is no such name.
    package func txt(_ name: String) throws(DNSFailure) -> [String] {
        let name = try DNSName(name)
        return try ask(.question(name, .txt)).texts(at: name)
    }

    /// The IPv4 and IPv6 addresses of a name, as text. Empty when there is no such name.
    package func addresses(_ name: String) throws(DNSFailure) -> [String] {
        let name = try DNSName(name)
        return try ask(.question(name, .a)).addresses(of: name, .a)
            + ask(.question(name, .aaaa)).addresses(of: name, .aaaa)
    }

    /// The CAA records at a name itself. The caller must search its parents (RFC 8659 section 3).
    package func caa(_ name: String) throws(DNSFailure) -> [CAARecord] {
        let name = try DNSName(name)
        return try ask(.question(name, .caa)).authorizations(at: name)
    }

    /// The name at the end of a name's aliases; the name itself when it is no alias.
    package func canonicalName(of name: String) throws(DNSFailure) -> String {
        let name = try DNSName(name)
        return try ask(.question(name, .txt)).canonicalName(of: name.text)
    }

    /// The zone that contains a name, whether or not the name exists.
    package func zone(of name: String) throws(DNSFailure) -> Zone {
        var next: DNSName? = try DNSName(name)
        while let candidate = next {
            // The topmost name of each zone has an SOA record.
            if try !records(.soa, of: candidate, isAliasFollowed: false).isEmpty {
                let servers = try records(.ns, of: candidate).compactMap { $0.fields.first.map(DNSName.text(ofWire:)) }
                return Zone(name: candidate.text, nameServers: servers.sorted())
            }
            next = candidate.parent
        }
        throw DNSFailure("no zone was found that '\(name)' is in")
    }

    private func records(
        _ type: DNSRecordType, of name: DNSName, isAliasFollowed: Bool = true
    ) throws(DNSFailure) -> [DNSRecord] {
        let answer = try ask(.question(name, type))
        guard isAliasFollowed else { return answer.records.filter { $0.owner == name.text && $0.isOf(type) } }
        return answer.records(of: type, for: name)
    }

    /// The first conclusive answer of a server.
    private func ask(_ message: DNSMessage) throws(DNSFailure) -> DNSAnswer {
        var failure = DNSFailure("there is no name server to ask")
        let servers = servers.isEmpty ? try DNSServer.ofSystem() : servers
        for _ in 0..<tries {
            for server in servers {
                do throws(DNSFailure) {
                    let (answer, _) = try DNSExchange(server: server, timeout: timeout).send(message, message.bytes)
                    // "No such name" is a conclusive answer too.
                    let isAnswer = [DNSResponseCode.noError, DNSResponseCode.noSuchName].contains(answer.code)
                    guard !isAnswer else { return answer }
                    let words = DNSResponseCode.words(answer.code)
                    failure = DNSFailure("\(server): asked for '\(message.name)': \(words)")
                } catch {
                    failure = error
                }
            }
        }
        throw failure
    }
}
