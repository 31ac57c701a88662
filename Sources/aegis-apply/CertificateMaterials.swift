import ConfigModel
import Issuers
import Reconciler
import State
import SystemPackage

/// Looks whether the PEM texts of custom certificates are there, and which they are.
enum CertificateMaterials {
    static func look(for configuration: Configuration, in file: ConfigurationFile, _ snapshot: StateSnapshot) -> (
        materials: [String: CertificateMaterial], warnings: [Diagnostic]
    ) {
        let reader = SecretReader(directory: file.directory)
        var materials: [String: CertificateMaterial] = [:]
        var warnings: [Diagnostic] = []
        for certificate in configuration.certificates {
            guard case .custom(let custom) = certificate.source else { continue }
            let stored = snapshot.items[ItemID(.certificate, certificate.name)]?.certificate
            do throws(IssuanceFailure) {
                let digest = try OwnCertificate(reader).digest(of: custom)
                materials[certificate.name] = .readable(digest: digest)
                if digest == stored?.sourceDigest { warnings += expiry(of: certificate, stored) }
            } catch {
                materials[certificate.name] = .unreadable("known after apply")
                warnings.append(warning(custom.certificate, certificate, error, isStored: stored != nil))
            }
            guard stored == nil else { continue }
            do throws(IssuanceFailure) {
                _ = try reader.read(custom.key)
            } catch {
                materials[certificate.name] = .unreadable("known after apply")
                warnings.append(warning(custom.key, certificate, error, isStored: false))
            }
        }
        return (materials, warnings)
    }

    private static func warning(
        _ secret: Secret, _ certificate: NamedCertificate, _ failure: IssuanceFailure, isStored: Bool
    ) -> Diagnostic {
        .warning(
            at: secret.origin, "certificate '\(certificate.name)': \(failure.reason)",
            hint: isStored ? "what is stored stays" : "it is planned as 'known after apply'; applying needs it")
    }

    private static func expiry(of certificate: NamedCertificate, _ stored: CertificateFacts?) -> [Diagnostic] {
        let now = currentTime()
        guard let stored, stored.expiresAt - now < OwnCertificate.warningDays * 86_400 else { return [] }
        let isOver = stored.expiresAt <= now
        let text =
            "certificate '\(certificate.name)' \(isOver ? "has expired" : "expires") on \(UTCTime.text(stored.expiresAt))"
        return [.warning(at: certificate.origin, text, hint: "put the renewed one in its place")]
    }
}
