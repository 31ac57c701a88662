/// Looks records up.
package struct DNSLookup: Sendable {
    /// A record of which CAs may issue for a name (RFC 8659 section 4).
    package struct CAARecord: Sendable, Hashable {
        /// Bit 7 (128) set: who does not know the tag may not issue.
        package let flags: UInt8
        /// The property: issue, issuewild, iodef, in lower case.
        package let tag: String
        /// Its value.
        package let value: String
    }

    /// A part of the tree of names that certain servers answer for.
    package struct Zone: Sendable, Hashable {
        /// The name that it begins at.
        package let name: String
        /// The names of its servers, in alphabetical order.
        package let nameServers: [String]
    }

    private let servers: [DNSServer]
    private let timeout: Duration
    private let tries: Int

    /// A lookup.
    ///
    /// - Parameters:
    ///   - servers: Who is asked, in this order until one answers; none: those of /etc/resolv.conf.
    ///   - timeout: How long a server may take for an answer. Looking up its own name is bounded by the system's resolver.
    ///   - tries: How often each is asked before giving up.
    package init(servers: [DNSServer] = [], timeout: Duration = .seconds(5), tries: Int = 2) {
        self.servers = servers
        self.timeout = timeout
        self.tries = tries
    }

    /// The texts at a name, or at the one it is an alias of, the parts of each joined; none when there is no such name.
    package func txt(_ name: String) throws(DNSFailure) -> [String] {
        let name = try DNSName(name)
        return try ask(.question(name, .txt)).texts(at: name)
    }

    /// The IPv4 and IPv6 addresses of a name, as text; none when there is no such name.
    package func addresses(_ name: String) throws(DNSFailure) -> [String] {
        let name = try DNSName(name)
        return try ask(.question(name, .a)).addresses(of: name, .a)
            + ask(.question(name, .aaaa)).addresses(of: name, .aaaa)
    }

    /// The CAA records at a name itself; climbing to its parents (RFC 8659 section 3) is for the caller.
    package func caa(_ name: String) throws(DNSFailure) -> [CAARecord] {
        let name = try DNSName(name)
        return try ask(.question(name, .caa)).authorizations(at: name)
    }

    /// What a name is an alias of, to the end of all aliases; itself when it is none.
    package func canonicalName(of name: String) throws(DNSFailure) -> String {
        let name = try DNSName(name)
        return try ask(.question(name, .txt)).canonicalName(of: name.text)
    }

    /// The zone that a name is in, whether or not there is such a name.
    package func zone(of name: String) throws(DNSFailure) -> Zone {
        var next: DNSName? = try DNSName(name)
        while let candidate = next {
            // Each zone begins with its SOA.
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

    /// The first answer of a server that could answer.
    private func ask(_ message: DNSMessage) throws(DNSFailure) -> DNSAnswer {
        var failure = DNSFailure("there is no name server to ask")
        let servers = servers.isEmpty ? try DNSServer.ofSystem() : servers
        for _ in 0..<tries {
            for server in servers {
                do throws(DNSFailure) {
                    let (answer, _) = try DNSExchange(server: server, timeout: timeout).send(message, message.bytes)
                    // No such name is an answer like others.
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
