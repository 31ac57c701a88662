extension Rules {
    mutating func checkGateway() {
        let gateway = configuration.gateway
        let node = reader.value(of: "gateway", in: root)
        if gateway.http.isEmpty, gateway.https.isEmpty, configuration.hosts.contains(where: \.enabled) {
            report(
                .warning, "http", in: node, "no host is reachable: there is neither an http nor an https listener")
        } else if gateway.https.isEmpty, configuration.hosts.contains(where: { $0.sslMode != .none }) {
            report(.warning, "https", in: node, "hosts with TLS are not reachable: there is no https listener")
        }
        if gateway.trustedProxies.contains(where: { $0.prefixLength == 0 }) {
            report(
                .warning, "trusted_proxies", in: node, "every client is trusted as a proxy and can forge its address",
                hint: "list only your own proxies")
        }
        if gateway.clientAddress != .xForwardedFor, gateway.trustedProxies.isEmpty {
            report(
                .warning, "client_address", in: node, unlessFaulty: ["trusted_proxies"],
                "'client_address' has no effect without 'trusted_proxies'",
                hint: "list your proxies in trusted_proxies")
        }
        checkProtocols(gateway.protocols, in: node)
        checkListeners()
    }

    /// Reports a list of protocols without HTTP/1.1, since clients that negotiate no protocol speak HTTP/1.1. Warns of
    /// protocols that stand twice in the list.
    mutating func checkProtocols(_ protocols: [HTTPProtocol], in node: NodeID?) {
        if !protocols.contains(.http11) {
            report(
                .error, "protocols", in: node, unlessFaulty: ["protocols"],
                "clients that can't choose a protocol speak http/1.1, so it must be listed",
                hint: "write protocols: [h2, http/1.1]")
        }
        warnOfRepeats(protocols, in: "protocols", of: node, text: \.rawValue)
    }

    /// Reports two listeners that can't exist together: they have the same address, or they have the same port and one
    /// of them listens on all interfaces.
    private mutating func checkListeners() {
        guard let node = reader.value(of: "gateway", in: root) else { return }
        let gateway = configuration.gateway
        var taken: [(listener: ListenAddress, key: String)] = []
        let groups = [("http", gateway.http), ("https", gateway.https), ("admin", [gateway.admin.address])]
        for (key, listeners) in groups {
            for (index, listener) in listeners.enumerated() {
                if let clash = taken.first(where: { $0.listener.clashes(with: listener) }) {
                    let place = item(index, of: key, in: node) ?? reader.value(of: key, in: node)
                    report(
                        .error, in: place ?? node,
                        "\(key) address '\(listener.text)' is taken by \(clash.key) address '\(clash.listener.text)'")
                }
                taken.append((listener, key))
            }
        }
    }
}

extension ListenAddress {
    /// Whether the gateway can't listen at both addresses at once.
    func clashes(with other: ListenAddress) -> Bool {
        port == other.port && (address == nil || other.address == nil || address == other.address)
    }
}
