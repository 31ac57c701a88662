import ConfigModel
import HTTP1

/// The client of the request in `requestHead`, where a trusted proxy passed it on.
struct RequestSender {
    /// Whether the peer is a trusted proxy, so that its word on who the client is counts.
    var isTrusted = false
    /// The client for which a trusted proxy passed the request on; nil if the client is the peer itself.
    var proxied: PeerAddress?
}

extension Worker {
    /// Whether a peer is a trusted proxy, so that its word on who the client is counts.
    func isTrusted(_ peer: PeerAddress) -> Bool {
        guard unsafe !settings.trustedProxies.isEmpty else { return false }
        return unsafe peer.isIn(anyOf: settings.trustedProxies)
    }

    /// Finds the client of the request in `requestHead`. This is done once; forwarding fields, log and balancing use
    /// the result.
    func findSender(_ head: Bytes, of id: SlotID) {
        guard unsafe !settings.trustedProxies.isEmpty || sender.isTrusted else { return }
        unsafe sender = RequestSender()
        guard isTrusted(clients[id].peer) else { return }
        unsafe sender.isTrusted = true
        let field = unsafe settings.clientAddress
        var trace = unsafe ClientTrace(from: clients[id].peer, by: field, trusting: settings.trustedProxies)
        switch field {
        case .xForwardedFor, .forwarded:
            var index = unsafe requestHead.fields.count - 1
            while index >= 0, !trace.isDone {
                let line = unsafe requestHead.fields[index]
                if line.id == field.id { trace.follow(head[line.value.range]) }
                index -= 1
            }
        case .xRealIP, .cfConnectingIP:
            let lines = unsafe (0..<requestHead.fields.count).filter { unsafe requestHead.fields[$0].id == field.id }
            // If the field occurs twice, it is unknown which one the proxy wrote, so neither is used.
            if let line = lines.first, lines.count == 1 {
                unsafe trace.read(head[requestHead.fields[line].value.range])
            }
        }
        if !trace.client.isSameAddress(as: clients[id].peer) { unsafe sender.proxied = trace.client }
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
