import ConfigModel
import HTTP1

/// What a trusted proxy tells about the client of the request in `requestHead`.
struct RequestSender {
    /// Whether the peer is a trusted proxy, which may name the client in header fields.
    var isTrusted = false
    /// The client for which a trusted proxy passed the request on; nil if the client is the peer itself.
    var proxied: PeerAddress?
}

extension Worker {
    /// Whether a peer is a trusted proxy, which may name the client in header fields.
    func isTrusted(_ peer: PeerAddress) -> Bool {
        guard !settings.trustedProxies.isEmpty else { return false }
        return peer.isIn(anyOf: settings.trustedProxies)
    }

    /// Finds the client of the request in `requestHead`. This is done once; forwarding fields, log and balancing use
    /// the result.
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
            // If the field occurs twice, it is unknown which one the proxy wrote, so neither is used.
            if let line = lines.first, lines.count == 1 {
                trace.read(head[requestHead.fields[line].value.range])
            }
        }
        if !trace.client.isSameAddress(as: clients[id].peer) { sender.proxied = trace.client }
    }
}

extension ClientAddressField {
    /// The field's case in `KnownField`.
    var id: KnownField {
        switch self {
        case .xForwardedFor: .xForwardedFor
        case .forwarded: .forwarded
        case .xRealIP: .xRealIP
        case .cfConnectingIP: .cfConnectingIP
        }
    }
}
