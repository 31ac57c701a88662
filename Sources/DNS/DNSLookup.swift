package struct DNSLookup: Sendable {
    /// A CAA record, which says which CAs may issue certificates for a name (RFC 8659 section 4).
    package struct CAARecord: Sendable, Hashable {
        /// The flags. A CA must not issue if the flag 128 (critical) is set and the CA does not know the tag.
        package let flags: UInt8
        /// The tag in lower case, such as `issue`, `issuewild` or `iodef`.
        package let tag: String
        package let value: String
    }

    package struct Zone: Sendable, Hashable {
        /// The zone's topmost name (its apex).
        package let name: String
        /// The names of the zone's name servers, sorted.
        package let nameServers: [String]
    }

    private let servers: [DNSServer]
    private let timeout: Duration
    private let tries: Int

    /// - Parameters:
    ///   - servers: The servers to ask, in this order, until one answers. If empty, the servers in /etc/resolv.conf.
    ///   - timeout: The time limit for a server's answer. It does not include the lookup of the server's own name,
    ///     which the system's resolver does.
    ///   - tries: How many times each server is asked.
    package init(servers: [DNSServer] = [], timeout: Duration = .seconds(5), tries: Int = 2) {
        self.servers = servers
        self.timeout = timeout
        self.tries = tries
    }

    /// The TXT records of a name, or of the name at the end of its aliases. A record's strings are joined into one
    /// text. Empty if the name does not exist.
    package func txt(_ name: String) throws(DNSFailure) -> [String] {
        let name = try DNSName(name)
        return try ask(.question(name, .txt)).texts(at: name)
    }

    /// The IPv4 and IPv6 addresses of a name as text. Empty if the name does not exist.
    package func addresses(_ name: String) throws(DNSFailure) -> [String] {
        let name = try DNSName(name)
        return try ask(.question(name, .a)).addresses(of: name, .a)
            + ask(.question(name, .aaaa)).addresses(of: name, .aaaa)
    }

    /// The CAA records of exactly this name. If there are none, the caller must ask for the parent names (RFC 8659
    /// section 3).
    package func caa(_ name: String) throws(DNSFailure) -> [CAARecord] {
        let name = try DNSName(name)
        return try ask(.question(name, .caa)).authorizations(at: name)
    }

    /// The name at the end of a name's aliases (CNAME records). If the name is no alias, the name itself.
    package func canonicalName(of name: String) throws(DNSFailure) -> String {
        let name = try DNSName(name)
        return try ask(.question(name, .txt)).canonicalName(of: name.text)
    }

    /// Finds the zone that contains a name. The name itself need not exist.
    package func zone(of name: String) throws(DNSFailure) -> Zone {
        var next: DNSName? = try DNSName(name)
        while let candidate = next {
            // A zone has its SOA record at its topmost name.
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

    /// Returns the first answer with the code NOERROR or NXDOMAIN. Other codes, such as SERVFAIL, do not say whether
    /// the name has records.
    private func ask(_ message: DNSMessage) throws(DNSFailure) -> DNSAnswer {
        var failure = DNSFailure("there is no name server to ask")
        let servers = servers.isEmpty ? try DNSServer.ofSystem() : servers
        for _ in 0..<tries {
            for server in servers {
                do throws(DNSFailure) {
                    let (answer, _) = try DNSExchange(server: server, timeout: timeout).send(message, message.bytes)
                    // NXDOMAIN is an answer too: the name does not exist.
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
