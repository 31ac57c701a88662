import ACME
import ConfigModel
import HTTPClient
import PKI
import State
import Synchronization

/// Asks a CA when to renew a certificate that it issued (renewal information, RFC 9773), chooses a time in the
/// suggested period, and stores it. If the state does not say which CA issued the certificate, the first issuer is
/// asked.
struct RenewalAdvice {
    let store: any StateStore
    let now: @Sendable () -> Int64
    /// Whether an operator waits for the answer. If so, a missing answer is not stored, and the CA can be asked again
    /// at once. If not, the CA is asked again only after some hours.
    let isWaitedFor: Bool
    let client: (ACMEIssuer) throws -> ACMEClient

    /// A CA that could not be asked for renewal information, and the reason.
    struct Failure: Error {
        let issuer: ACMEIssuer
        let reason: any Error

        /// Whether the CA did not answer or was busy. Further questions to the CA would probably fail too.
        var isSilence: Bool {
            guard let error = reason as? ACMEError else { return reason is any ACMEEdgeError }
            return error.problem != nil && !error.isLasting
        }
    }

    /// Asks for advice on a certificate. Returns nil if the CA answered, if it gives no advice, or if there is no CA to
    /// ask.
    func refresh(for name: String, from issuers: [ACMEIssuer]) -> Failure? {
        guard let stored = try? store.certificate(named: name),
            let leaf = try? CertificateChain(pem: stored.chain).leaf
        else { return nil }
        var progress = (try? store.renewal(of: name)) ?? RenewalProgress(certificate: name)
        if progress.advisedFingerprint != leaf.fingerprint { progress.advisedAt = nil }
        progress.advisedFingerprint = leaf.fingerprint
        // If the CA gives no advice, it is asked again after this delay, since it may give advice later.
        progress.nextAdviceAt = now() + ACMERenewalInfo.errorDelaySeconds
        var failure: Failure?
        let directory = stored.facts.directory
        // The certificate may come from a CA that is no longer among its issuers. That CA is not asked.
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

/// Asks CAs for advice on many certificates while an operator waits. An answer may take some seconds, and a CA that
/// does not answer is not asked again. No ACME account is needed. Threads may share this object.
package final class AdviceRound: Sendable {
    private static let timeout = Duration.seconds(5)

    private let context: IssuanceContext
    private let places = Mutex<[String: Place]>([:])

    /// The facts about one CA. The lock of `client` is held while the CA's directory is fetched.
    private final class Place: Sendable {
        let client = Mutex<ACMEClient?>(nil)
        let failure = Mutex<String?>(nil)
        let isSilent = Mutex(false)
    }

    package init(_ context: IssuanceContext) { self.context = context }

    /// Asks for advice on one certificate, for some seconds at most. `issuers` must contain all issuers in the state.
    package func ask(about certificate: ManagedCertificate, from issuers: [Issuer]) {
        let need = try? WantedCertificate(certificate.value, named: certificate.name, from: issuers)
        let advice = RenewalAdvice(store: context.store, now: context.now, isWaitedFor: true) {
            try self.client(for: $0)
        }
        guard let need, let failure = advice.refresh(for: certificate.name, from: need.authorities.map(\.settings)),
            !(failure.reason is AskedInVain)
        else { return }
        let place = place(of: failure.issuer)
        if failure.isSilence { place.isSilent.withLock { $0 = true } }
        let reason = SecretMask(failure.issuer, context.secrets).hiding(in: "\(failure.reason)")
        place.failure.withLock { $0 = $0 ?? reason }
    }

    /// The CAs that could not be asked, by the URLs of their directories, with the reasons.
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
                    edge: try ACMEConnection(issuer, secrets: context.secrets, timeout: Self.timeout),
                    wait: { delay, _ in Pause.wait(delay) },
                    patience: .zero, now: context.now)
                _ = try made.directory()
                client = made
                return made
            } catch {
                // The CA can't be asked about any certificate if its directory can't be read.
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
