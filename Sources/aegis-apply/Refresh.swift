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
    /// How long the waits and the failed tries of a call may take together, before the last try.
    var patience = Duration.seconds(60)

    /// A question to a provider about one item. `ask` returns why the item is gone; nil when the provider still has it.
    private struct Question: Sendable {
        let item: ItemID
        let origin: SourceOrigin
        let ask: @Sendable (CloudflareDrift) throws(IssuanceFailure) -> String?
    }

    private enum Answer: Sendable {
        case known(ItemID, loss: String?)
        case unknown(Diagnostic)
    }

    struct Answers {
        /// Why items are no longer as the state records them.
        var losses: [ItemID: String] = [:]
        /// Warnings about items whose providers could not be asked.
        var warnings: [Diagnostic] = []
        /// The items that no provider has confirmed: nobody was asked before the request to stop, the question failed,
        /// or the item is lost.
        var unfinished: [ItemID] = []
    }

    /// Asks about all items. After a request to stop, the questions under way are abandoned.
    func ask(_ stop: StopRequest? = nil) throws -> Answers {
        let check = CloudflareDrift(secrets, patience: patience)
        let questions = try certificates() + packs()
        var answers = Answers(unfinished: questions.map(\.item))
        let since = ContinuousClock.now
        try ParallelWork(count: 8, stop: stop).run(
            questions,
            stillWaiting: { _, waits in
                let reason = waits.first.map { ": \($0.reason)" } ?? ""
                Terminal.complain("  still waiting for Cloudflare (\(since.secondsPassed) s\(reason))\n")
            }
        ) { question, tell in
            do throws(IssuanceFailure) {
                tell(.known(question.item, loss: try question.ask(check)))
            } catch {
                let text =
                    "\(question.item.kind.rawValue) '\(question.item.name)' could not be refreshed: \(error.reason)"
                tell(.unknown(.warning(at: question.origin, text, hint: error.hint)))
            }
        } receive: { (received: [Answer]) in
            for answer in received {
                switch answer {
                case .known(let item, nil): answers.unfinished.removeAll { $0 == item }
                case .known(let item, let loss?): answers.losses[item] = loss
                case .unknown(let warning): answers.warnings.append(warning)
                }
            }
        }
        return answers
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
