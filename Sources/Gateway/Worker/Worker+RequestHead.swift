import HTTP1

extension Worker {
    /// Writes the head that goes upstream into `memory.output`: the gateway's own canonical form of what was parsed, never
    /// bytes that were not understood.
    func writeRequestHead(_ head: Bytes, _ exchange: SlotID) {
        let view = tables.sites[exchanges[exchange].site].view
        let isTrusted = unsafe sender.isTrusted
        unsafe memory.output.append(head[requestHead.methodName.range])
        memory.output.append(" ")
        if let implied = unsafe requestHead.target.implied { memory.output.append(byte: implied) }
        writePathAndQuery(head)
        memory.output.append(" HTTP/1.1\r\nHost: ")
        if view.preservesHost { writeHost(head) } else { exchanges[exchange].hostOffset = memory.output.count }
        memory.output.append("\r\n")
        let strip = view.requestStrip
        for index in unsafe 0..<requestHead.fields.count {
            let field = unsafe requestHead.fields[index]
            guard passes(field, isTrusted: isTrusted) else { continue }
            let name = head[field.name.range]
            if strip.contains(name) { continue }
            writeField(name, head[field.value.range])
        }
        writeForwarding(head, exchange, isTrusted: isTrusted, without: strip)
        memory.output.append(view.requestSet)
        switch unsafe requestHead.framing {
        case .none, .untilClose: break
        case .length(let length):
            memory.output.append("Content-Length: ")
            memory.output.append(decimal: length)
            memory.output.append("\r\n")
        case .chunked:
            exchanges[exchange].sendsChunks = true
            memory.output.append("Transfer-Encoding: chunked\r\n")
        }
        // With a body nobody could tell where the other protocol begins.
        if let upgrade = unsafe requestHead.upgrade, exchanges[exchange].isRequestComplete {
            writeUpgrade(head[upgrade.range], exchange, view)
        }
        memory.output.append("\r\n")
    }

    /// Passes on the protocols that the client would change to (RFC 9110 section 7.8), of those that the site allows.
    private func writeUpgrade(_ protocols: Bytes, _ exchange: SlotID, _ view: SiteView) {
        var start = 0
        for name in protocols.listItems where view.passesUpgrade(to: name) {
            memory.output.append(start == 0 ? "Connection: upgrade\r\nUpgrade: " : ", ")
            if start == 0 { start = memory.output.count }
            memory.output.append(name)
        }
        guard start > 0 else { return }
        exchanges[exchange].upgradeRange = start..<memory.output.count
        memory.output.append("\r\n")
    }

    /// Whether a field of a request goes on as it is.
    private func passes(_ field: HeaderField, isTrusted: Bool) -> Bool {
        switch field.id {
        case .host, .contentLength, .expect, .xRequestID, .xForwardedFor, .forwarded, .xRealIP: return false
        // Connection can't take away what a trusted proxy says.
        case .xForwardedHost, .xForwardedProto, .xForwardedPort, .xForwardedOther, .cfConnectingIP: return isTrusted
        // Some servers take '_' for '-': such a name could pass for one of the gateway's own.
        default: return !field.isHopByHop && !field.hasUnderscore
        }
    }

    /// Says to the upstream who the client is (RFC 7239 and its forerunners). What the client says of itself counts only
    /// when it is a trusted proxy.
    private func writeForwarding(_ head: Bytes, _ exchange: SlotID, isTrusted: Bool, without strip: NameList) {
        let client = exchanges[exchange].client
        // What the site sets or removes is not ours to say; a trusted proxy has said some of it already.
        func says(_ name: StaticString, unless id: KnownField? = nil) -> Bool {
            if isTrusted, let id, unsafe requestHead.fields.first(id) != nil { return false }
            return !strip.contains(Bytes(name))
        }
        if says("x-forwarded-for") {
            memory.output.append("X-Forwarded-For: ")
            if isTrusted { writeStepsBefore(.xForwardedFor, head) }
            clients[client].peer.write(to: memory.output)
            memory.output.append("\r\n")
        }
        if says("x-forwarded-proto", unless: .xForwardedProto) {
            memory.output.append("X-Forwarded-Proto: ")
            memory.output.append(clients[client].isTLS ? "https\r\n" : "http\r\n")
        }
        if says("x-forwarded-host", unless: .xForwardedHost) {
            memory.output.append("X-Forwarded-Host: ")
            writeHost(head)
            memory.output.append("\r\n")
        }
        if says("x-real-ip") {
            memory.output.append("X-Real-IP: ")
            if let proxied = unsafe sender.proxied {
                proxied.write(to: memory.output)
            } else {
                clients[client].peer.write(to: memory.output)
            }
            memory.output.append("\r\n")
        }
        if says("forwarded") {
            memory.output.append("Forwarded: ")
            if isTrusted { writeStepsBefore(.forwarded, head) }
            writeNode(clients[client].peer)
            memory.output.append(";host=\"")
            writeHost(head)
            memory.output.append(clients[client].isTLS ? "\";proto=https\r\n" : "\";proto=http\r\n")
        }
        if says("x-request-id") {
            memory.output.append("X-Request-Id: ")
            exchanges[exchange].requestID.write(to: memory.output)
            memory.output.append("\r\n")
        }
    }

    /// Writes what was before a trusted proxy: in the field that names clients, all that the field came with; in the other one,
    /// which may hold anything a client has put there, and in one that can't be gone on with, the client alone.
    private func writeStepsBefore(_ id: KnownField, _ head: Bytes) {
        if unsafe settings.clientAddress.id == id, id != .forwarded || hasClosedQuotes(id, head) {
            return writeEarlier(id, head)
        }
        guard let proxied = unsafe sender.proxied else { return }
        if id == .forwarded { writeNode(proxied) } else { proxied.write(to: memory.output) }
        memory.output.append(", ")
    }

    /// Writes who made a step (RFC 7239 section 5.2).
    private func writeNode(_ address: borrowing PeerAddress) {
        memory.output.append(address.isV6 ? "for=\"[" : "for=")
        address.write(to: memory.output)
        if address.isV6 { memory.output.append("]\"") }
    }

    private func hasClosedQuotes(_ id: KnownField, _ head: Bytes) -> Bool {
        for index in unsafe 0..<requestHead.fields.count where unsafe requestHead.fields[index].id == id {
            guard unsafe ForwardedElement.hasClosedQuotes(head[requestHead.fields[index].value.range]) else {
                return false
            }
        }
        return true
    }

    /// Writes the values that a list-valued field came with, each before a comma.
    private func writeEarlier(_ id: KnownField, _ head: Bytes) {
        for index in unsafe 0..<requestHead.fields.count where unsafe requestHead.fields[index].id == id {
            let value = unsafe head[requestHead.fields[index].value.range]
            guard !value.isEmpty else { continue }
            memory.output.append(value)
            memory.output.append(", ")
        }
    }

    /// Writes the host that was asked for, with its port.
    private func writeHost(_ head: Bytes) {
        unsafe memory.output.append(head[requestHead.host.range])
        guard let port = unsafe requestHead.port else { return }
        memory.output.append(":")
        memory.output.append(decimal: UInt64(port))
    }

    /// Writes what is asked for as others are to read it.
    func writePathAndQuery(_ head: Bytes) {
        guard unsafe requestHead.target.needsEncoding else {
            return unsafe memory.output.append(head[requestHead.target.pathAndQuery.range])
        }
        unsafe requestHead.target.encode(head.span) { memory.output.append(byte: $0) }
    }

    func writeField(_ name: Bytes, _ value: Bytes) {
        memory.output.append(name)
        memory.output.append(": ")
        memory.output.append(value)
        memory.output.append("\r\n")
    }
}
