import ConfigModel
import Issuers
import Reconciler
import SQLiteState
import State

/// Asks providers whether they still have the certificates that they issued.
struct Refresh {
    let configuration: Configuration
    let secrets: SecretReader
    let store: SQLiteStateStore

    /// A question to a provider about one item. `ask` returns why the item is gone; nil when the provider still has it.
    private struct Question: Sendable {
        let item: ItemID
        let origin: SourceOrigin
        let ask: @Sendable (CloudflareDrift) throws(IssuanceFailure) -> String?
    }

    private enum Answer: Sendable {
        case drifted(ItemID, String)
        case unknown(Diagnostic)
    }

    /// The reasons why items are no longer as the state records them, and warnings about items whose providers could
    /// not be asked.
    func drift() throws -> (reasons: [ItemID: String], warnings: [Diagnostic]) {
        let check = CloudflareDrift(secrets)
        var reasons: [ItemID: String] = [:]
        var warnings: [Diagnostic] = []
        let questions = try certificates() + packs()
        let since = ContinuousClock.now
        try ParallelWork(count: 8).run(
            questions,
            stillWaiting: { _, _ in
                Terminal.complain("  still waiting for Cloudflare (\(since.secondsPassed) s)\n")
            }
        ) { question, tell in
            do throws(IssuanceFailure) {
                if let reason = try question.ask(check) { tell(.drifted(question.item, reason)) }
            } catch {
                let text =
                    "\(question.item.kind.rawValue) '\(question.item.name)' could not be refreshed: \(error.reason)"
                tell(.unknown(.warning(at: question.origin, text, hint: error.hint)))
            }
        } receive: { (answers: [Answer]) in
            for answer in answers {
                switch answer {
                case .drifted(let item, let reason): reasons[item] = reason
                case .unknown(let warning): warnings.append(warning)
                }
            }
        }
        return (reasons, warnings)
    }

    private func certificates() throws -> [Question] {
        try configuration.certificates.compactMap { certificate in
            guard case .issued(let issued) = certificate.source,
                let issuer = configuration.issuers.first(where: { $0.name == issued.issuer }),
                let settings = issuer.settings as? CloudflareOriginIssuer,
                let remote = try store.certificate(named: certificate.name)?.remote
            else { return nil }
            return Question(item: ItemID(.certificate, certificate.name), origin: certificate.origin) {
                (check) throws(IssuanceFailure) in try check.reason(of: remote, settings, now: currentTime())
            }
        }
    }

    private func packs() throws -> [Question] {
        let newest = Dictionary(try store.edgePacks().map { ($0.certificate, $0) }) { $1 }
        return configuration.edgeCertificates.compactMap { certificate in
            guard let pack = newest[certificate.displayName] else { return nil }
            return Question(item: ItemID(.edgeCertificate, certificate.displayName), origin: certificate.origin) {
                (check) throws(IssuanceFailure) in try check.reason(of: pack, certificate, now: currentTime())
            }
        }
    }
}
