import ACME
import ConfigModel
import PKI
import State
import Synchronization

/// Asks the CA that has issued a certificate when it advises to renew it (RFC 9773), picks an instant of that window, and notes
/// it. Where its CA is not known, the first of its issuers is asked.
struct RenewalAdvice {
    let store: any StateStore
    let now: @Sendable () -> Int64
    /// Whether somebody waits, who may ask again as soon as the CA answers. Else it is left alone for hours after a failure.
    let isWaitedFor: Bool
    /// What talks to a CA.
    let client: (ACMEIssuer) throws -> ACMEClient

    /// Who could not be asked, and why.
    struct Failure: Error {
        let issuer: ACMEIssuer
        let reason: any Error

        /// Whether the CA has said nothing, or was busy: an answer to another question may say no more.
        var isSilence: Bool {
            guard let error = reason as? ACMEError else { return reason is any ACMEEdgeError }
            return error.problem != nil && !error.isLasting
        }
    }

    /// Why it could not be asked; nil when it was, or gives no advice.
    func take(on name: String, from issuers: [ACMEIssuer]) -> Failure? {
        guard let stored = try? store.certificate(named: name),
            let leaf = try? CertificateChain(pem: stored.chain).leaf
        else { return nil }
        var progress = (try? store.renewal(of: name)) ?? RenewalProgress(certificate: name)
        if progress.advisedFingerprint != leaf.fingerprint { progress.advisedAt = nil }
        progress.advisedFingerprint = leaf.fingerprint
        // A CA without advice may have some one day.
        progress.nextAdviceAt = now() + ACMERenewalInfo.errorDelaySeconds
        var failure: Failure?
        let directory = stored.facts.directory
        // Its CA may no longer be one of its issuers.
        if let id = ACMERenewalInfo.certificateID(of: leaf),
            let issuer = issuers.first(where: { ["", $0.directory.text].contains(directory) })
        {
            do {
                let advice = try client(issuer).renewalInfo(id)
                progress.advisedAt = advice.instant(keeping: progress.advisedAt)
                progress.nextAdviceAt = now() + advice.checkDelaySeconds
            } catch ACMEError.unsupported {
            } catch {
                failure = Failure(issuer: issuer, reason: error)
            }
        }
        if failure?.isSilence != true || !isWaitedFor { try? store.putAdvice(progress) }
        return failure
    }
}

/// Asks CAs for advice on many certificates while somebody waits: each answer is waited for some seconds, and a CA that gives none
/// is asked no more. No account is needed for it. Threads may share it.
package final class AdviceRound: Sendable {
    private static let timeout = Duration.seconds(5)

    private let tools: IssuanceContext
    private let places = Mutex<[String: Place]>([:])

    /// A CA. Its lock is held while its directory is asked for.
    private final class Place: Sendable {
        let client = Mutex<ACMEClient?>(nil)
        let failure = Mutex<String?>(nil)
        let isSilent = Mutex(false)
    }

    /// A round that has asked nobody yet.
    package init(_ tools: IssuanceContext) { self.tools = tools }

    /// Asks for one certificate. Blocks for some seconds at most. `issuers` are all of the state.
    package func ask(about certificate: ManagedCertificate, from issuers: [Issuer]) {
        let need = WantedCertificate(certificate.value, named: certificate.name, from: issuers)
        let advice = RenewalAdvice(store: tools.store, now: tools.now, isWaitedFor: true) { try self.client(for: $0) }
        guard let need, let failure = advice.take(on: certificate.name, from: need.issuers.map(\.settings)),
            !(failure.reason is AskedInVain)
        else { return }
        let place = place(of: failure.issuer)
        if failure.isSilence { place.isSilent.withLock { $0 = true } }
        let reason = SecretMask(failure.issuer, tools.secrets).hiding(in: "\(failure.reason)")
        place.failure.withLock { $0 = $0 ?? reason }
    }

    /// The CAs that could not be asked, by their directories, and why.
    package var failures: [(directory: String, reason: String)] {
        places.withLock { $0 }.compactMap { place in place.value.failure.withLock { $0 }.map { (place.key, $0) } }
            .sorted { $0.directory < $1.directory }
    }

    private func place(of issuer: ACMEIssuer) -> Place {
        places.withLock { places in
            let place = places[issuer.directory.text] ?? Place()
            places[issuer.directory.text] = place
            return place
        }
    }

    private func client(for issuer: ACMEIssuer) throws -> ACMEClient {
        let place = place(of: issuer)
        return try place.client.withLock { client in
            if place.isSilent.withLock({ $0 }) { throw AskedInVain() }
            if let client { return client }
            do {
                let made = ACMEClient(
                    directory: try ACMEURL(issuer.directory.text, of: "directory"),
                    key: try PrivateKey.generate(.ecdsaP256),
                    edge: try ACMEConnection(issuer, secrets: tools.secrets, timeout: Self.timeout), wait: Pause.wait,
                    patience: .zero, now: tools.now)
                _ = try made.directory()
                client = made
                return made
            } catch {
                // Nothing else can be asked without its directory.
                place.isSilent.withLock { $0 = true }
                throw error
            }
        }
    }

    private struct AskedInVain: ACMEEdgeError {
        var mayHaveArrived: Bool { false }
        var isTransient: Bool { false }
    }
}
