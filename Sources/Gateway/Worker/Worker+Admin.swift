import HTTP1

extension Worker {
    /// Answers on the admin listener. The path is compared as it was sent, byte by byte: a path in any other writing is
    /// another path, so that no rule is passed by. Who asks for a host that is not this machine's is refused first.
    func answerAsAdmin(_ head: Bytes, _ exchange: SlotID, from id: SlotID) {
        let host = unsafe head[requestHead.host.range].text
        guard adminHandler?.hosts.contains(host) ?? false else { return self.answer(exchange, 421) }
        var path = unsafe head[requestHead.target.pathAndQuery.range].text
        if let query = path.firstIndex(of: "?") { path = String(path[..<query]) }
        let method = exchanges[exchange].method
        guard method == .get || method == .head else { return refuseMethod(exchange, allowing: "GET, HEAD") }
        guard let answer = adminHandler?.answer(path) else { return self.answer(exchange, 404) }
        unsafe answer.body.withUnsafeBufferPointer { body in
            let empty: StaticString = ""
            let view = unsafe Bytes(body.baseAddress ?? empty.utf8Start, count: body.count)
            let type: StaticString =
                switch answer.type {
                case .text: "text/plain; charset=utf-8"
                case .metrics: "text/plain; version=0.0.4; charset=utf-8"
                }
            self.answer(exchange, status: answer.status, type: type, view)
        }
    }
}
