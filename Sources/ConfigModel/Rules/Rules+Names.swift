extension Rules {
    /// Reports a name that two hosts have, and an entry of `certificates` with the name of a host's own certificate.
    mutating func checkNames() {
        // Maps each name to the index of the first host that has the name.
        var claims: [String: Int] = [:]
        claims.reserveCapacity(configuration.hosts.count)
        // Copying very many hosts would cost more than checking them, so the loop uses indices.
        let hosts = configuration.hosts
        for index in hosts.indices {
            claim(hosts[index].domain, host: index, 0, &claims)
            for (position, alias) in hosts[index].aliases.enumerated() {
                claim(alias, host: index, position + 1, &claims)
            }
            if hosts[index].sslMode == .letsencrypt, let certificate = certificates[hosts[index].domain.text] {
                report(
                    .error, in: nameNode(0, of: hosts[index]),
                    "certificate '\(hosts[index].domain.text)' has the name of the one made for this host",
                    hint: "rename the one under 'certificates'",
                    notes: [note("defined here", at: certificate.origin)])
            }
        }
    }

    private mutating func claim(_ name: DomainName, host: Int, _ position: Int, _ claims: inout [String: Int]) {
        guard !name.text.isEmpty, let first = claims.updateValue(host, forKey: name.text) else { return }
        reportClash(of: name, host: host, position, first: first)
        claims[name.text] = first
    }

    private mutating func reportClash(of name: DomainName, host: Int, _ position: Int, first: Int) {
        let hosts = configuration.hosts
        guard let place = nameNode(position, of: hosts[host]) else { return }
        let message =
            host == first ? "'\(name.text)' stands twice in this host" : "'\(name.text)' is claimed by another host"
        let notes =
            hosts[first].names.firstIndex(of: name)
            .flatMap { nameNode($0, of: hosts[first]) }
            .map { [Diagnostic.Note(position: reader.document.position(of: $0), message: "first here")] } ?? []
        reader.report(.error, at: place, message, notes: notes)
    }

    /// The node of one of a host's names: index 0 is the domain, and higher indices are the aliases.
    func nameNode(_ index: Int, of host: Host) -> NodeID? {
        guard let node = host.origin.node else { return nil }
        return (index == 0 ? reader.value(of: "domain", in: node) : item(index - 1, of: "aliases", in: node)) ?? node
    }
}
