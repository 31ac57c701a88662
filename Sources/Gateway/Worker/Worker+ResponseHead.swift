import HTTP1

/// Writes the heads of responses to clients.
extension Worker {
    /// Writes the response's head for the client into `memory.output`.
    func writeResponseHead(_ head: Bytes, _ exchange: SlotID, _ client: SlotID) {
        let view = tables.sites[exchanges[exchange].site].view
        let isTLS = clients[client].isTLS
        writeStatusLine(head)
        writeResponseFields(
            head, without: view.responseStrip, withoutHSTS: isTLS && !view.hsts.isEmpty || !isTLS)
        if responseHead.status == 426 { writeRequiredProtocols(head) }
        if isTLS { memory.output.append(view.hsts) }
        memory.output.append(view.responseSet)
        switch responseHead.framing {
        case .none: writeLengthOfNoBody(exchange)
        case .length(let length):
            memory.output.append("Content-Length: ")
            memory.output.append(decimal: length)
            memory.output.append("\r\n")
        case .chunked, .untilClose:
            switch exchanges[exchange].clientVersion {
            case .http11:
                exchanges[exchange].responseFraming = .chunked
                memory.output.append("Transfer-Encoding: chunked\r\n")
            // HTTP/1.0 has no chunked coding (RFC 9112 section 6.1). The body ends when the connection ends.
            case .http10: exchanges[exchange].keepsClient = false
            case .http2: break
            }
        }
        if isDraining || !exchanges[exchange].isRequestComplete { exchanges[exchange].keepsClient = false }
        switch exchanges[exchange].clientVersion {
        case .http2: break
        case _ where !exchanges[exchange].keepsClient: memory.output.append("Connection: close\r\n")
        case .http10: memory.output.append("Connection: keep-alive\r\n")
        case .http11: break
        }
        memory.output.append("\r\n")
    }

    func writeStatusLine(_ head: Bytes) {
        memory.output.append("HTTP/1.1 ")
        memory.output.append(decimal: UInt64(responseHead.status))
        memory.output.append(" ")
        if responseHead.reason.isEmpty {
            memory.output.append(GatewayAnswer.reason(responseHead.status))
        } else {
            memory.output.append(head[responseHead.reason.range])
        }
        memory.output.append("\r\n")
    }

    private func writeResponseFields(_ head: Bytes, without strip: NameList, withoutHSTS: Bool) {
        var hasDate = false
        for index in 0..<responseHead.fields.count {
            let field = responseHead.fields[index]
            if field.isHopByHop { continue }
            switch field.id {
            case .contentLength: continue
            case .strictTransportSecurity: if withoutHSTS { continue }
            case .date: hasDate = true
            default: break
            }
            if !strip.contains(head[field.name.range]) { writeLine(field, of: head) }
        }
        // A proxy adds Date to a response that has none (RFC 9110 section 6.6.1).
        if !hasDate { memory.output.append(clock.dateLine) }
    }

    /// Writes the Upgrade fields of a response with status 426, which must say what protocols the server requires (RFC
    /// 9110 section 15.5.22). Connection must name Upgrade (RFC 9110 section 7.8).
    func writeRequiredProtocols(_ head: Bytes) {
        var isNamed = false
        for index in 0..<responseHead.fields.count where responseHead.fields[index].id == .upgrade {
            let field = responseHead.fields[index]
            guard !field.value.range.isEmpty else { continue }
            writeLine(field, of: head)
            isNamed = true
        }
        if isNamed { memory.output.append("Connection: upgrade\r\n") }
    }

    /// Writes the Content-Length of a response to HEAD or with status 304. Such a response has no body, but may have
    /// this field (RFC 9110 section 8.6).
    func writeLengthOfNoBody(_ exchange: SlotID) {
        let tellsLength = exchanges[exchange].method == .head || responseHead.status == 304
        guard tellsLength, let length = responseHead.contentLength else { return }
        memory.output.append("Content-Length: ")
        memory.output.append(decimal: length)
        memory.output.append("\r\n")
    }
}
