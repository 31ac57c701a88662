import Cloudflare
import ConfigModel
import State

/// Checks whether Cloudflare still has the certificates and packs that it issued.
package struct CloudflareDrift: Sendable {
    private let secrets: SecretReader
    private let patience: Duration

    /// `patience` limits the repetitions of a call: the time for its waits and failed tries together, before the last
    /// try.
    package init(_ secrets: SecretReader, patience: Duration) {
        self.secrets = secrets
        self.patience = patience
    }

    /// Returns the reason why a certificate is lost: it was revoked or deleted. Returns nil if it is unchanged. `now`
    /// is in seconds since 1970.
    package func reason(
        of certificate: RemoteCertificate, _ settings: CloudflareOriginIssuer, now: Int64
    ) throws(IssuanceFailure) -> String? {
        let client = try CloudflareClient(settings, secrets: secrets, patience: patience)
        do throws(CloudflareError) {
            return try client.certificate(certificate.id).revokedAt.map {
                "was revoked at Cloudflare on \(UTCTime.text($0))"
            }
        } catch  where error.isGone {
            return "is no longer at Cloudflare"
        } catch {
            throw IssuanceFailure(error, now: now)
        }
    }

    /// Returns the reason why a pack can no longer be used. Returns nil if it can be used.
    package func reason(
        of pack: EdgePack, _ settings: EdgeCertificate, now: Int64
    ) throws(IssuanceFailure) -> String? {
        guard let id = pack.id else { return nil }
        let client = try CloudflareClient(settings, secrets: secrets, patience: patience)
        do throws(CloudflareError) {
            let status = try client.pack(id, inZone: pack.zone).status
            switch PackStatus(status) {
            case .pending, .active, .validationTimedOut: return nil
            case .dead, .gone: return "is \(status) at Cloudflare"
            }
        } catch  where error.isGone {
            return "is no longer at Cloudflare"
        } catch {
            throw IssuanceFailure(error, now: now)
        }
    }
}
