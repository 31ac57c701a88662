import ConfigModel
import Issuers
import Reconciler
import State
import SystemPackage

/// Reads the PEM texts of custom certificates before a plan is made.
enum CertificateMaterials {
    static func cacheDirectory(_ configuration: Configuration, _ file: ConfigurationFile) -> FilePath {
        Terminal.environment("AEGIS_SSL_CACHE_DIR").map { FilePath($0) }
            ?? file.resolve(configuration.gateway.cacheDirectory)
    }

    /// The results of reading the texts, by certificate name, and warnings.
    static func look(
        for configuration: Configuration, in file: ConfigurationFile, _ snapshot: StateSnapshot
    ) -> (materials: [String: CertificateMaterial], warnings: [Diagnostic]) {
        let users = Dictionary(grouping: configuration.hosts.filter { $0.certificate != nil }) { $0.certificate ?? "" }
        let reader = SecretReader(directory: file.directory)
        var materials: [String: CertificateMaterial] = [:]
        var warnings: [Diagnostic] = []
        for certificate in configuration.certificates {
            let stored = snapshot.items[ItemID(.certificate, certificate.name)]?.certificate
            guard case .custom(let custom) = certificate.source else {
                warnings += leftAlone(certificate, stored)
                continue
            }
            let hosts = users[certificate.name] ?? []
            var takesIn = stored == nil
            let own = OwnCertificate(reader)
            do throws(IssuanceFailure) {
                let digest = try own.digest(of: custom)
                materials[certificate.name] = .readable(digest: digest)
                if let stored, digest == stored.sourceDigest {
                    warnings += doubts(of: certificate, stored, hosts)
                    warnings += own.chainWarnings(of: custom, now: currentTime()).map { doubt($0, of: certificate) }
                } else {
                    takesIn = true
                }
            } catch {
                materials[certificate.name] = .unreadable("known after apply")
                warnings.append(warning(custom.certificate, certificate, error, isStored: stored != nil))
                if let stored { warnings += doubts(of: certificate, stored, hosts) }
            }
            guard takesIn else { continue }
            do throws(IssuanceFailure) {
                _ = try reader.read(custom.key)
            } catch {
                // The plan replaces a stored certificate nevertheless, since the new certificate's text could be read.
                if stored == nil { materials[certificate.name] = .unreadable("known after apply") }
                warnings.append(warning(custom.key, certificate, error, isStored: false))
            }
        }
        return (materials, warnings)
    }

    /// A warning when a certificate has expired or was revoked and its `auto_renew` is false, since the plan shows no
    /// change for it.
    private static func leftAlone(_ certificate: NamedCertificate, _ stored: CertificateFacts?) -> [Diagnostic] {
        guard case .issued(let issued) = certificate.source, !issued.autoRenew, let stored, !stored.autoRenew else {
            return []
        }
        let isOver = stored.expiresAt <= currentTime()
        guard let fault = stored.loss ?? (isOver ? "has expired on \(UTCTime.text(stored.expiresAt))" : nil) else {
            return []
        }
        return [
            .warning(
                at: certificate.origin,
                "certificate '\(certificate.name)' \(fault), and is not renewed: its auto_renew is false",
                hint: "'aegis-apply renew \(certificate.name) --force' reissues it")
        ]
    }

    private static func warning(
        _ secret: Secret, _ certificate: NamedCertificate, _ failure: IssuanceFailure, isStored: Bool
    ) -> Diagnostic {
        .warning(
            at: secret.origin, "certificate '\(certificate.name)': \(failure.reason)",
            hint: isStored
                ? "what is stored stays"
                : "it is planned as 'known after apply'; applying needs it; with --strict this is an error")
    }

    /// The errors and warnings that an apply would give for the certificates that the plan uploads. Files that are not
    /// on this machine are left out.
    static func refusals(_ plan: Plan, of configuration: Configuration, in file: ConfigurationFile) -> [Diagnostic] {
        let uploads = Set(plan.changes.filter { $0.work == .upload }.map(\.item.name))
        let reader = SecretReader(directory: file.directory)
        return configuration.certificates.filter { uploads.contains($0.name) }.flatMap { certificate in
            guard case .custom(let custom) = certificate.source else { return [Diagnostic]() }
            let parts = [custom.certificate, custom.key]
            if let refusal = parts.lazy.compactMap({ unreadable($0, of: certificate, reader) }).first {
                return [refusal]
            }
            guard parts.allSatisfy({ (try? reader.read($0)) != nil }) else { return [] }
            let hosts = configuration.hosts.filter { $0.certificate == certificate.name }
            return refusal(of: certificate, custom, hosts, reader)
        }
    }

    /// An error for a file that is on this machine and can't be read, such as one that is too large.
    private static func unreadable(
        _ part: Secret, of certificate: NamedCertificate, _ reader: SecretReader
    ) -> Diagnostic? {
        do throws(IssuanceFailure) {
            _ = try reader.read(part)
            return nil
        } catch {
            guard !reader.mayBeElsewhere(part) else { return nil }
            return .error(
                at: part.origin, "certificate '\(certificate.name)' will be refused: \(error.reason)", hint: error.hint)
        }
    }

    private static func refusal(
        of certificate: NamedCertificate, _ custom: CustomCertificate, _ hosts: [Host], _ reader: SecretReader
    ) -> [Diagnostic] {
        do throws(IssuanceFailure) {
            let material = try OwnCertificate(reader).load(custom, for: hosts.flatMap(\.names), now: currentTime())
            return material.warnings.map { doubt($0, of: certificate) }
        } catch {
            let text = "certificate '\(certificate.name)' will be refused: \(error.reason)"
            return [.error(at: certificate.origin, text, hint: error.hint)]
        }
    }

    private static func doubt(_ text: String, of certificate: NamedCertificate) -> Diagnostic {
        .warning(at: certificate.origin, "certificate '\(certificate.name)' \(text)")
    }

    /// Errors for the hosts that an apply would refuse, because their stored certificate does not cover their names and
    /// this plan does not replace it.
    static func refusedHosts(_ plan: Plan, of configuration: Configuration, against snapshot: StateSnapshot)
        -> [Diagnostic]
    {
        let changed = Set(plan.changes.filter { $0.action != .delete }.map(\.item))
        return configuration.hosts.compactMap { host in
            guard changed.contains(ItemID(.host, host.domain.text)), let name = host.certificate,
                !changed.contains(ItemID(.certificate, name)),
                let facts = snapshot.items[ItemID(.certificate, name)]?.certificate, facts.source == .custom
            else { return nil }
            let uncovered = host.names.filter { !facts.covers([$0]) }
            guard !uncovered.isEmpty else { return nil }
            return .error(
                at: host.origin,
                "host '\(host.domain.text)' will be refused: certificate '\(name)' "
                    + OwnCertificate.misses(uncovered, facts.domains),
                hint: "give it a certificate that is for it")
        }
    }

    /// Warnings that a stored certificate expires soon, or does not cover the names of its hosts.
    private static func doubts(of certificate: NamedCertificate, _ stored: CertificateFacts, _ hosts: [Host])
        -> [Diagnostic]
    {
        expiry(of: certificate, stored) + coverage(of: certificate, stored, hosts)
    }

    /// A warning for each host that has a name which the stored certificate does not cover.
    private static func coverage(of certificate: NamedCertificate, _ stored: CertificateFacts, _ hosts: [Host])
        -> [Diagnostic]
    {
        let names = stored.domains.prefix(5).joined(separator: ", ")
        return hosts.filter { !stored.covers($0.names) }.map { host in
            .warning(
                at: host.origin, "certificate '\(certificate.name)' does not cover all names of '\(host.domain.text)'",
                hint: "it is for \(names); a host that is new or changes is refused")
        }
    }

    private static func expiry(of certificate: NamedCertificate, _ stored: CertificateFacts) -> [Diagnostic] {
        let now = currentTime()
        guard stored.expiresAt - now < OwnCertificate.warningDays * 86_400 else { return [] }
        let isOver = stored.expiresAt <= now
        let text =
            "certificate '\(certificate.name)' \(isOver ? "has expired" : "expires") on \(UTCTime.text(stored.expiresAt))"
        return [.warning(at: certificate.origin, text, hint: "put the renewed one in its place")]
    }
}
