import HTTP1

extension Worker {
    /// Writes the request's head for the upstream into `memory.output`. Only parsed parts are written, so the upstream
    /// never gets bytes that the gateway has not understood.
    func writeRequestHead(_ head: Bytes, _ exchange: SlotID) {
        let view = tables.sites[exchanges[exchange].site].view
        let isTrusted = sender.isTrusted
        memory.output.append(head[requestHead.methodName.range])
        memory.output.append(" ")
        if let implied = requestHead.target.implied { memory.output.append(byte: implied) }
        writePathAndQuery(head)
        memory.output.append(" HTTP/1.1\r\nHost: ")
        if view.preservesHost { writeHost(head) } else { exchanges[exchange].hostOffset = memory.output.count }
        memory.output.append("\r\n")
        let strip = view.requestStrip
        for index in 0..<requestHead.fields.count {
            let field = requestHead.fields[index]
            guard passes(field, isTrusted: isTrusted) else { continue }
            if strip.contains(head[field.name.range]) { continue }
            if field.id == .cookie, AdminCookie.isIn(head[field.value.range]) {
                writeCookies(head[field.value.range])
            } else {
                writeLine(field, of: head)
            }
        }
        if requestHead.method == .options { writeForwardsLeft(head, without: strip) }
        writeForwarding(head, exchange, isTrusted: isTrusted, without: strip)
        if view.asksForCertificates { writeCertificate(exchange, view) }
        memory.output.append(view.requestSet)
        switch requestHead.framing {
        case .none, .untilClose: break
        case .length(let length):
            memory.output.append("Content-Length: ")
            memory.output.append(decimal: length)
            memory.output.append("\r\n")
        case .chunked where exchanges[exchange].usesHTTP2: break
        case .chunked:
            exchanges[exchange].sendsChunks = true
            memory.output.append("Transfer-Encoding: chunked\r\n")
        }
        if exchanges[exchange].usesHTTP2, exchanges[exchange].acceptsTrailers {
            memory.output.append("TE: trailers\r\n")
        }
        // A request with a body is not upgraded, since the gateway could not find where the other protocol starts.
        if let upgrade = requestHead.upgrade, exchanges[exchange].isRequestComplete {
            exchanges[exchange].tunnelHost = head[requestHead.host.range].copy
            writeUpgrade(head[upgrade.range], exchange, view)
        }
        memory.output.append("\r\n")
    }

    /// Writes a Cookie field without the admin page's cookie.
    private func writeCookies(_ value: Bytes) {
        let start = memory.output.count
        AdminCookie.forEachOther(in: value) { cookie in
            memory.output.append(memory.output.count == start ? "Cookie: " : "; ")
            memory.output.append(cookie)
        }
        if memory.output.count > start { memory.output.append("\r\n") }
    }

    /// Writes Max-Forwards of an OPTIONS request, lowered by one (RFC 9110 section 7.6.2). The value is not 0 here,
    /// since the gateway answers such a request itself.
    private func writeForwardsLeft(_ head: Bytes, without strip: NameList) {
        for index in 0..<requestHead.fields.count where requestHead.fields[index].id == .maxForwards {
            let field = requestHead.fields[index]
            let (name, value) = (head[field.name.range], head[field.value.range])
            if strip.contains(name) { continue }
            guard let number = value.number, number > 0 else {
                writeField(name, value)
                continue
            }
            memory.output.append(name)
            memory.output.append(": ")
            memory.output.append(decimal: number - 1)
            memory.output.append("\r\n")
        }
    }

    /// Writes the certificate that the client has shown, in the form that the site wants.
    private func writeCertificate(_ exchange: SlotID, _ view: SiteView) {
        let client = exchanges[exchange].client
        guard !client.isNone, let certificate = clients[connection(of: client)].proof.certificate else { return }
        certificate.line(view.clientCertificates.forwarding).lendingBytes { memory.output.append($0) }
    }

    /// Writes an Upgrade field with the protocols that the client offers and the site allows (RFC 9110 section 7.8).
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
        if isConnect(exchange) {
            memory.output.append("Sec-WebSocket-Key: ")
            WebSocketKey(exchanges[exchange].requestID).text.lendingBytes { memory.output.append($0) }
            memory.output.append("\r\n")
        }
    }

    /// Whether the request is an extended CONNECT (RFC 8441). The upstream gets a GET that asks for an upgrade instead.
    func isConnect(_ exchange: SlotID) -> Bool {
        exchanges[exchange].clientVersion == .http2
            && clients[exchanges[exchange].client].transport.stream?.isConnect == true
    }

    /// Whether a request field is passed on unchanged.
    private func passes(_ field: HeaderField, isTrusted: Bool) -> Bool {
        switch field.id {
        case .host, .contentLength, .expect, .xRequestID, .xForwardedFor, .forwarded, .xRealIP: return false
        // The client may have sent these fields itself. Only the gateway may write them (RFC 9440 section 2.4).
        case .clientCert, .clientCertChain, .xForwardedClientCert: return false
        case .maxForwards: return requestHead.method != .options
        // A trusted proxy's fields are passed on even if Connection names them.
        case .xForwardedProto: return isTrusted && sender.forwardedHTTPS == nil
        case .xForwardedHost, .xForwardedPort, .xForwardedOther, .cfConnectingIP: return isTrusted
        // Some servers read '_' as '-', so a name with '_' could be mistaken for a field that the gateway writes.
        default: return !field.isHopByHop && !field.hasUnderscore
        }
    }

    /// Writes the fields that tell the upstream who the client is, such as Forwarded (RFC 7239) and X-Forwarded-For. If
    /// the request already has values of these fields, they are used only if a trusted proxy sent the request.
    private func writeForwarding(_ head: Bytes, _ exchange: SlotID, isTrusted: Bool, without strip: NameList) {
        let client = exchanges[exchange].client
        // A field is not written if the site's configuration sets or removes that field, or if a trusted proxy has
        // already sent it.
        func adds(_ name: StaticString, unless id: KnownField? = nil) -> Bool {
            if isTrusted, let id, requestHead.fields.first(id) != nil { return false }
            return !strip.contains(Bytes(name))
        }
        if adds("x-forwarded-for") {
            memory.output.append("X-Forwarded-For: ")
            if isTrusted { writeStepsBefore(.xForwardedFor, head) }
            clients[client].peer.write(to: memory.output)
            memory.output.append("\r\n")
        }
        if adds("x-forwarded-proto", unless: sender.forwardedHTTPS == nil ? .xForwardedProto : nil) {
            memory.output.append("X-Forwarded-Proto: ")
            memory.output.append(sender.forwardedHTTPS ?? clients[client].isTLS ? "https\r\n" : "http\r\n")
        }
        if adds("x-forwarded-host", unless: .xForwardedHost) {
            memory.output.append("X-Forwarded-Host: ")
            writeHost(head)
            memory.output.append("\r\n")
        }
        if adds("x-real-ip") {
            memory.output.append("X-Real-IP: ")
            if let proxied = sender.proxied {
                proxied.write(to: memory.output)
            } else {
                clients[client].peer.write(to: memory.output)
            }
            memory.output.append("\r\n")
        }
        if adds("forwarded") {
            memory.output.append("Forwarded: ")
            if isTrusted { writeStepsBefore(.forwarded, head) }
            writeNode(clients[client].peer)
            memory.output.append(";host=\"")
            writeHost(head)
            memory.output.append(clients[client].isTLS ? "\";proto=https\r\n" : "\";proto=http\r\n")
        }
        if adds("x-request-id") {
            memory.output.append("X-Request-Id: ")
            exchanges[exchange].requestID.write(to: memory.output)
            memory.output.append("\r\n")
        }
    }

    /// Writes the addresses that come before the trusted proxy's own address. The proxy vouches for the values of the
    /// field that `clientAddress` names, so these values are kept. In any other field a client may have written
    /// anything, so only the client's address is written. The same applies if a Forwarded field has an open quotation
    /// mark.
    private func writeStepsBefore(_ id: KnownField, _ head: Bytes) {
        if settings.clientAddress.id == id, id != .forwarded || hasClosedQuotes(id, head) {
            return writeEarlier(id, head)
        }
        guard let proxied = sender.proxied else { return }
        if id == .forwarded { writeNode(proxied) } else { proxied.write(to: memory.output) }
        memory.output.append(", ")
    }

    /// Writes a `for` parameter of Forwarded (RFC 7239 section 5.2).
    private func writeNode(_ address: borrowing PeerAddress) {
        memory.output.append(address.isV6 ? "for=\"[" : "for=")
        address.write(to: memory.output)
        if address.isV6 { memory.output.append("]\"") }
    }

    private func hasClosedQuotes(_ id: KnownField, _ head: Bytes) -> Bool {
        for index in 0..<requestHead.fields.count where requestHead.fields[index].id == id {
            guard ForwardedElement.hasClosedQuotes(head[requestHead.fields[index].value.range]) else {
                return false
            }
        }
        return true
    }

    /// Writes the request's own values of a list-valued field, each followed by a comma.
    private func writeEarlier(_ id: KnownField, _ head: Bytes) {
        for index in 0..<requestHead.fields.count where requestHead.fields[index].id == id {
            let value = head[requestHead.fields[index].value.range]
            guard !value.isEmpty else { continue }
            memory.output.append(value)
            memory.output.append(", ")
        }
    }

    private func writeHost(_ head: Bytes) {
        memory.output.append(head[requestHead.host.range])
        guard let port = requestHead.port else { return }
        memory.output.append(":")
        memory.output.append(decimal: UInt64(port))
    }

    /// Writes the path and the query. Characters that a URI can't contain are percent-encoded.
    func writePathAndQuery(_ head: Bytes) {
        guard requestHead.target.needsEncoding else {
            return memory.output.append(head[requestHead.target.pathAndQuery.range])
        }
        requestHead.target.encode(head.span) { memory.output.append(byte: $0) }
    }

    /// Writes a field's line. If the field was sent in the usual form, its line is copied at once.
    func writeLine(_ field: HeaderField, of head: Bytes) {
        let (name, value) = (field.name.range, field.value.range)
        // The byte behind a value exists, since the parser has found a blank or the line's end there. Behind CR there
        // is always LF.
        guard value.lowerBound == name.upperBound + 2, head[name.upperBound + 1] == UInt8(ascii: " "),
            head[value.upperBound] == UInt8(ascii: "\r")
        else { return writeField(head[name], head[value]) }
        memory.output.append(head[name.lowerBound..<value.upperBound + 2])
    }

    func writeField(_ name: Bytes, _ value: Bytes) {
        memory.output.append(name)
        memory.output.append(": ")
        memory.output.append(value)
        memory.output.append("\r\n")
    }
}
