import ArgumentParser
import ConfigModel
import Issuers
import Operations
import PKI
import SQLiteState
import State

struct RevokeCertificate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Have the CA revoke a certificate. This can't be undone.",
        discussion: """
            Gateways serve the revoked certificate until it is replaced. A running gateway, the next apply or 'renew' replaces it. \
            If its auto_renew is false, only 'renew --force' does. The certificate of a disabled host is replaced when the host \
            is enabled.
            """)

    @Argument(help: "The certificate's name; for a host's own certificate, the host's domain.")
    var name: String

    @Option(help: "Why: unspecified, key-compromise, superseded or cessation-of-operation.")
    var reason: RevocationWord

    @OptionGroup var options: StateOptions

    func run() throws {
        // Signals are blocked before any thread starts, since threads inherit the mask.
        let signals = StopSignals()
        try reporting {
            let access = try IssuerAccess(options)
            defer { access.store.close() }
            let keeper = try lease(access.store)
            defer { keeper.release() }
            signals.setLastWords("whether '\(name)' is revoked is not known\nhint: run it again: it can be asked twice")
            defer { signals.setLastWords(nil) }
            let revocation = try Revocation(of: access.store.required(name), reason.code, among: access.state.issuers)
            let identity = try revocation.carryOut(by: access.state.sources(access.context)) { issuer, ask in
                try tellingOfWaits(for: issuer.caID, ask)
            }
            let sequel = try revocation.record(
                in: access.store, by: keeper.holder, actor: keeper.holder.actor, now: currentTime())
            try Terminal.print("Revoked '\(name)', \(identity).\n\(words(for: sequel))\n")
        }
    }

    private func words(for sequel: Revocation.Sequel) -> String {
        switch sequel {
        case .notUsed: "It was not in force, only kept. It will not be used again."
        case .rests: "Its host is disabled, so no gateway serves it. It is replaced when the host is enabled."
        case .isReplaced:
            "Gateways serve it until a running gateway replaces it. Or run: aegis-apply renew \(name)"
        case .isServedOn:
            "Gateways serve it and don't replace it, since its auto_renew is false. To replace it, run: aegis-apply renew \(name) --force"
        }
    }

    /// Takes the certificate's lease. Without it another process could replace the certificate meanwhile, and the new
    /// certificate would be marked as revoked.
    private func lease(_ store: SQLiteStateStore) throws -> LeaseKeeper {
        do {
            return try LeaseKeeper(.certificate(name), in: store)
        } catch let held as LeaseKeeper.Held {
            let other = held.lease.holder
            throw CommandFailure(
                message: "process \(other.process) on \(other.machine) is obtaining another one for '\(name)'",
                hint: "try again when it is done", status: ExitStatus.locked)
        }
    }
}

extension RevocationWord: ExpressibleByArgument {}
