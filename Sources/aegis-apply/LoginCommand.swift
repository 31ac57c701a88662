import ArgumentParser
import ConfigModel
import Operations
import State

/// `aegis-apply admin login`: prints a link that opens the admin page.
struct LoginCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login", abstract: "Print a link that opens the admin page.",
        discussion: """
            The link works once, for two minutes, in a browser on the gateway's own machine. It opens a session of at most \
            12 hours, which may change everything that the page offers, and ends after an hour without use.
            """)

    @OptionGroup var options: StateOptions

    func run() throws {
        try reporting {
            let store = try options.openForWriting()
            defer { store.close() }
            let record = try store.items(of: .gateway).first?.item.record
            let settings = record.flatMap { GatewaySettings(record: $0) } ?? GatewaySettings()
            guard settings.admin.api != .off else {
                throw CommandFailure(
                    message: "there is no admin page: gateway.admin says 'api: off'",
                    hint: "write 'api: read' or 'api: write', and apply it")
            }
            guard let authority = settings.admin.address.loopbackAuthority else {
                throw CommandFailure(
                    message: "a browser on this machine can't reach the admin listener, \(settings.admin.address.text)",
                    hint: "links work only from the machine itself; have the listener listen on 127.0.0.1")
            }
            let secret: String
            do {
                secret = try AccessSecret.loginLink.make()
            } catch {
                throw CommandFailure(message: "no link can be made: \(error)")
            }
            guard let digest = AccessSecret.loginLink.digest(of: secret) else {
                preconditionFailure("our own secret is one")
            }
            let now = currentTime()
            let actor = LeaseHolder.current().actor
            try store.addLoginLink(
                LoginLink(digest: digest, createdBy: actor, expiresAt: now + LoginLink.lifetimeSeconds),
                event: AuditEvent(at: now, actor: actor, action: "create-login", item: ItemID(single: .gateway)))
            try Terminal.print("https://\(authority)/login/\(secret)\n")
            Terminal.complain(
                "The link works once, for \(LoginLink.lifetimeSeconds / 60) minutes, in a browser on this machine.\n")
            let gateways = FleetStatus(try store.nodes(), revision: 0, now: now)
            if gateways.alive.isEmpty {
                Terminal.complain("warning: no gateway is running: start aegis-gateway first\n")
            }
        }
    }
}
