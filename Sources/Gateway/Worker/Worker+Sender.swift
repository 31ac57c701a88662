import ConfigModel
import HTTP1

/// Who sent the request in `requestHead`, according to a trusted proxy.
struct RequestSender {
    /// Whether the request came from a trusted proxy, whose header fields may name the client.
    var isTrusted = false
    /// The client that a trusted proxy names. Nil if the peer itself is the client.
    var proxied: PeerAddress?
    /// Whether the trusted proxy's element in Forwarded says that it received the request over HTTPS. Nil if the
    /// element does not say it. Also nil if `clientAddress` is another field, since a client may then have written
    /// Forwarded.
    var forwardedHTTPS: Bool?
    /// Whether the request reached the trusted proxy over HTTPS, according to Forwarded or else to X-Forwarded-Proto.
    var cameByHTTPS = false
}

extension Worker {
    /// Whether the peer is a trusted proxy, whose header fields may name the client.
    func isTrusted(_ peer: PeerAddress) -> Bool {
        guard !settings.trustedProxies.isEmpty else { return false }
        return peer.isIn(anyOf: settings.trustedProxies)
    }

    /// Finds the client of the request in `requestHead`. `sender` keeps the result for the forwarding fields, the
    /// access log and the choice of an upstream.
    func findSender(_ head: Bytes, of id: SlotID) {
        guard !settings.trustedProxies.isEmpty || sender.isTrusted else { return }
        sender = RequestSender()
        guard isTrusted(clients[id].peer) else { return }
        sender.isTrusted = true
        let field = settings.clientAddress
        var trace = ClientTrace(from: clients[id].peer, by: field, trusting: settings.trustedProxies)
        switch field {
        case .xForwardedFor, .forwarded:
            var index = requestHead.fields.count - 1
            while index >= 0, !trace.isDone {
                let line = requestHead.fields[index]
                if line.id == field.id { trace.follow(head[line.value.range]) }
                index -= 1
            }
        case .xRealIP, .cfConnectingIP:
            let lines = (0..<requestHead.fields.count).filter { requestHead.fields[$0].id == field.id }
            // If the field occurs twice, it is unknown which line the proxy wrote. So neither line is used.
            if let line = lines.first, lines.count == 1 {
                trace.read(head[requestHead.fields[line].value.range])
            }
        }
        if !trace.client.isSameAddress(as: clients[id].peer) { sender.proxied = trace.client }
        if field == .forwarded { sender.forwardedHTTPS = forwardedHTTPS(head) }
        let scheme = requestHead.fields.first(.xForwardedProto)
        let saysHTTPS = scheme.map { head[$0.range].equalsIgnoringCase("https") } ?? false
        sender.cameByHTTPS = sender.forwardedHTTPS ?? saysHTTPS
    }

    /// Whether the last element of Forwarded, which the trusted proxy wrote, has the scheme HTTPS (RFC 7239 section
    /// 5.4). Nil if it has no scheme, or another scheme than HTTP and HTTPS.
    private func forwardedHTTPS(_ head: Bytes) -> Bool? {
        for index in (0..<requestHead.fields.count).reversed() {
            let line = requestHead.fields[index]
            guard line.id == .forwarded else { continue }
            var elements = ElementsFromEnd(head[line.value.range])
            guard let element = elements.next() else { continue }
            guard let scheme = ForwardedElement.value(of: "proto", in: element) else { return nil }
            if scheme.equalsIgnoringCase("https") { return true }
            return scheme.equalsIgnoringCase("http") ? false : nil
        }
        return nil
    }
}

extension ClientAddressField {
    var id: KnownField {
        switch self {
        case .xForwardedFor: .xForwardedFor
        case .forwarded: .forwarded
        case .xRealIP: .xRealIP
        case .cfConnectingIP: .cfConnectingIP
        }
    }
}
