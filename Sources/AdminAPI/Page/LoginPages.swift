import ConfigModel
import Gateway
import Operations
import PKI
import State

/// Opens and ends sessions.
///
/// The link leads to a page whose button opens the session. So a program that only fetches links, such as a preview,
/// does not use up the link.
struct LoginPages {
    private let dependencies: AdminAPI.Dependencies
    private let gate: Gate

    init(_ dependencies: AdminAPI.Dependencies, _ gate: Gate) {
        self.dependencies = dependencies
        self.gate = gate
    }

    /// Nil for a request that neither opens nor ends a session.
    func answer(_ request: AdminRequest, _ path: RequestPath) throws -> AdminResponse? {
        switch (request.method, path.segments.first, path.segments.count) {
        case ("GET", "login", 2), ("HEAD", "login", 2): try question(path.segments[1], request)
        case ("POST", "login", 2): try open(path.segments[1], request)
        case ("POST", "logout", 1): try end(request)
        default: nil
        }
    }

    private func question(_ secret: String, _ request: AdminRequest) throws -> AdminResponse {
        guard let digest = AccessSecret.loginLink.digest(of: secret),
            try dependencies.withStore({ try $0.hasLoginLink(digest: digest, at: dependencies.now()) }) == true
        else { return try isUsedUp(request) }
        return PageShell.page(
            "Log in",
            """
            <h1>Log in</h1>
            <form method="post" action="/login/\(secret)"><button autofocus>Log in</button></form>
            <p class="quiet">The link works once.</p>
            """)
    }

    /// Opens a session. Only the link's own page may send this request. Otherwise a foreign page could log somebody in
    /// with a link of its own.
    private func open(_ link: String, _ request: AdminRequest) throws -> AdminResponse {
        guard OriginRule.isProven(by: request) else {
            throw Problem(.foreignOrigin, "Open the link itself.")
        }
        guard IPAddress(request.client)?.isLoopback == true else {
            throw Problem(.foreignOrigin, "The link works only in a browser on the gateway's machine.")
        }
        let secret = try AccessSecret.session.make()
        guard let digest = AccessSecret.session.digest(of: secret) else {
            preconditionFailure("our own secret is one")
        }
        let response = try dependencies.withStore { store in
            let session = try AccessSecret.loginLink.digest(of: link).flatMap { link in
                try store.openSession(
                    byLink: link, digest, at: dependencies.now(),
                    details: ["client": request.client, "request_id": request.requestID])
            }
            guard session != nil else { return try isUsedUp(request) }
            return .redirect("/", fields: [SessionCookie.setting(secret)])
        }
        guard let response else { throw AdminAPI.noState }
        return response
    }

    private func isUsedUp(_ request: AdminRequest) throws -> AdminResponse {
        let credentials = Credentials(request)
        let caller = try dependencies.withStore { store in try? gate.identify(credentials, request, in: store) }
        let overview: HTML? =
            if case .session = credentials, caller ?? nil != nil {
                "<p>You are logged in: <a href=\"/\">to the overview</a></p>"
            } else { nil }
        return PageShell.page(
            "The link is used up",
            """
            <h1>The link is used up</h1>
            <p>It works once, for two minutes. Make another one:</p>
            <pre><code>aegis-apply admin login</code></pre>
            \(overview)
            """, status: 403)
    }

    private func end(_ request: AdminRequest) throws -> AdminResponse {
        let credentials = Credentials(request)
        try gate.checkOrigin(request)
        guard case .session(let secret) = credentials, let digest = AccessSecret.session.digest(of: secret) else {
            return try loginIsNeeded()
        }
        try gate.checkPage(request, credentials, token: PageForm(request)[PageForm.changeToken])
        let response = try dependencies.withStore { store in
            if let session = try store.session(digest: digest) {
                try store.endSession(
                    digest: digest,
                    event: AuditEvent(
                        at: dependencies.now(), actor: session.openedBy, action: "logout",
                        item: ItemID(single: .gateway),
                        details: ["client": request.client, "request_id": request.requestID]))
            }
            return try Self.loginIsNeeded(in: store, hadSession: true)
        }
        guard let response else { throw AdminAPI.noState }
        return response
    }

    /// The page for browsers without a session.
    func loginIsNeeded() throws -> AdminResponse {
        try dependencies.withStore { try Self.loginIsNeeded(in: $0, hadSession: false) }
            ?? Self.loginIsNeeded(forwarding: nil, hadSession: false)
    }

    /// The page for those without a session. `hadSession`: whether the browser has a cookie, which the answer then
    /// removes.
    static func loginIsNeeded(in store: any StateStore, hadSession: Bool) throws -> AdminResponse {
        let record = try store.items(of: .gateway).first?.item.record
        let address = (record.flatMap { GatewaySettings(record: $0) } ?? GatewaySettings()).admin.address
        let forwarding = address.loopbackAuthority.map { authority -> HTML in
            """
            <p class="quiet">From another machine, forward the port first:
            <code>ssh -L \(address.port):\(authority) HOST</code></p>
            """
        }
        return loginIsNeeded(forwarding: forwarding, hadSession: hadSession)
    }

    private static func loginIsNeeded(forwarding: HTML?, hadSession: Bool) -> AdminResponse {
        PageShell.page(
            "Log in",
            """
            <h1>\(hadSession ? "You are logged out" : "Log in")</h1>
            <p>On the gateway's machine, make a link and open it in a browser there:</p>
            <pre><code>aegis-apply admin login</code></pre>
            \(forwarding)
            """, status: 401, fields: hadSession ? [SessionCookie.removal] : [])
    }
}
