import HTTP1

extension Worker {
    /// Answers a request to the admin listener. If the Host field names another machine, the answer is 421. The gateway
    /// answers only the exact paths of `AdminHandler.Endpoint`, so another spelling can't bypass a filter in front of the
    /// listener. Paths of the admin API go to the API, and any other path goes to the page if it is on.
    func answerAsAdmin(_ head: Bytes, _ exchange: SlotID, from id: SlotID) {
        let host = head[requestHead.host.range].text
        guard adminHandler?.hosts.contains(host) ?? false else { return self.answer(exchange, 421) }
        let target = head[requestHead.target.pathAndQuery.range]
        let hasPage = apiAccess != .off && adminHandler?.api != nil
        // Paths that are not endpoints of the gateway belong to the page.
        guard target.isAPI || hasPage && AdminHandler.Endpoint(rawValue: target.path) == nil else {
            return answerEndpoint(head, exchange)
        }
        beginAPI(head, exchange, from: id)
    }

    /// Answers a request to the node listener. `node.allow` may have changed since the handshake, so the client's
    /// certificate is checked again.
    func answerAsNode(_ head: Bytes, _ exchange: SlotID, from id: SlotID) {
        guard let access = nodeAccess else { return refuseNode(exchange) }
        let admission = clients[id].proof.holds(by: access.trust, isRequired: true, now: clock.seconds) {
            clients[id].transport.tls?.peerChain ?? []
        }
        switch admission {
        case .admitted:
            let isAPI = head[requestHead.target.pathAndQuery.range].isAPI
            isAPI ? beginAPI(head, exchange, from: id) : answerEndpoint(head, exchange)
        case .misdirected: refuseNode(exchange)
        case .outdated(let refusal):
            if let refusal { refuseCertificate(refusal, of: id) }
            refuseNode(exchange)
        }
    }

    private func refuseNode(_ exchange: SlotID) {
        exchanges[exchange].keepsClient = false
        answer(exchange, 403)
    }

    private func answerEndpoint(_ head: Bytes, _ exchange: SlotID) {
        let method = exchanges[exchange].method
        guard method == .get || method == .head else { return refuseMethod(exchange, allowing: "GET, HEAD") }
        guard let answer = adminHandler?.answer(head[requestHead.target.pathAndQuery.range].path)
        else { return self.answer(exchange, 404) }
        let type: StaticString =
            switch answer.type {
            case .text: "text/plain; charset=utf-8"
            case .metrics: "text/plain; version=0.0.4; charset=utf-8"
            }
        answer.body.lendingBytes { self.answer(exchange, status: answer.status, type: type, $0) }
    }
}
