import ConfigModel
import Glibc
import Issuers
import PKI
import PrivateFiles
import Reconciler
import SQLiteState
import State
import SystemPackage

/// Finds faults that would certainly make an apply fail, from the files and variables on this machine. It writes
/// nothing and uses no network. A missing secret is only a warning, since a machine that only plans has no secrets. A
/// secret that is here and can't be used is an error if the plan needs it.
struct Obstacles {
    let file: ConfigurationFile
    let configuration: Configuration
    let plan: Plan
    /// The state; nil if there is none yet.
    let store: SQLiteStateStore?

    /// All errors and warnings. An issuer that the plan does not need gets a warning only.
    func found() -> [Diagnostic] {
        state() + localAuthority() + configuration.issuers.flatMap(issuer) + configuration.vaults.compactMap(vault)
            + configuration.edgeCertificates.compactMap(edgeCertificate) + [webhook()].compactMap(\.self)
            + unusableSecrets()
    }

    // MARK: Directories

    private func state() -> [Diagnostic] {
        guard !plan.isEmpty else { return [] }
        let path = file.resolve(configuration.statePath)
        let hint = "state.path says where it is"
        if let reason = PrivateDirectory.obstacle(at: path.removingLastComponent()) {
            return [.error(at: .none, "the state '\(path)' can't be written: \(reason)", hint: hint)]
        }
        // This is safe, since access(2) reads the path only during the call.
        if store != nil, unsafe path.withPlatformString({ unsafe access($0, W_OK) }) != 0 {
            let reason = Errno(rawValue: errno)
            return [.error(at: .none, "the state '\(path)' can't be written: \(reason)", hint: hint)]
        }
        return store?.exposure.map { [.error(at: .none, "the state '\(path)' is refused: \($0)")] } ?? []
    }

    private func localAuthority() -> [Diagnostic] {
        let directory = CertificateMaterials.cacheDirectory(configuration, file)
        guard let failure = LocalAuthority.obstacle(in: directory, now: currentTime()) else { return [] }
        let issuers = configuration.issuers.filter { type(of: $0.provider).isLocal }
        guard !issuers.isEmpty else { return [.warning(at: .none, failure.reason, hint: failure.hint)] }
        return issuers.map { told(failure, of: $0) }
    }

    // MARK: Issuers

    private func issuer(_ issuer: Issuer) -> [Diagnostic] {
        let failures = [trust(issuer.settings.caFile)] + issuer.provider.obstacles(secrets, store)
        return failures.compactMap(\.self).map { told($0, of: issuer) }
    }

    /// Checks the CA file of a Vault. It is an error only if the plan needs an issuer of this Vault.
    private func vault(_ vault: VaultServer) -> Diagnostic? {
        guard let failure = trust(vault.caFile) else { return nil }
        return told(failure, at: vault.origin, "Vault '\(vault.name)' can't be used", isNeeded: isNeeded(vault))
    }

    private func edgeCertificate(_ certificate: EdgeCertificate) -> Diagnostic? {
        trust(certificate.caFile).map {
            told(
                $0, at: certificate.origin, "edge certificate '\(certificate.displayName)' can't be ordered",
                isNeeded: isNeeded(certificate))
        }
    }

    private func webhook() -> Diagnostic? {
        guard let webhook = configuration.alerts?.webhook, let failure = trust(webhook.caFile) else { return nil }
        return told(
            failure, at: webhook.token?.origin ?? .none, "the webhook for alerts can't be called", isNeeded: false)
    }

    private func isNeeded(_ certificate: EdgeCertificate) -> Bool {
        let item = ItemID(.edgeCertificate, certificate.displayName)
        return plan.changes.contains { $0.item == item && $0.action == .order }
    }

    private func isNeeded(_ vault: VaultServer) -> Bool {
        configuration.issuers.contains {
            $0.settings.vaultName == vault.name && plan.needsIssuer($0.name, of: configuration)
        }
    }

    private func told(_ failure: IssuanceFailure, of issuer: Issuer) -> Diagnostic {
        let isNeeded = plan.needsIssuer(issuer.name, of: configuration)
        let subject = "issuer '\(issuer.name)'\(isNeeded ? " will issue nothing" : "")"
        return told(failure, at: issuer.origin, subject, isNeeded: isNeeded)
    }

    private func told(
        _ failure: IssuanceFailure, at origin: SourceOrigin, _ subject: String, isNeeded: Bool
    ) -> Diagnostic {
        let text = "\(subject): \(failure.reason)"
        return isNeeded ? .error(at: origin, text, hint: failure.hint) : .warning(at: origin, text, hint: failure.hint)
    }

    private func trust(_ path: String?) -> IssuanceFailure? {
        path.flatMap { TrustFile.read($0, in: file.directory).failure }
    }

    // MARK: Secrets

    /// Errors and warnings about secrets; none for a plan without changes, since a machine that only plans usually has
    /// no secrets.
    private func unusableSecrets() -> [Diagnostic] {
        guard !plan.isEmpty else { return [] }
        return configuration.issuers.flatMap { issuer in
            let isNeeded = plan.needsIssuer(issuer.name, of: configuration) || plan.revokes(by: issuer.name)
            // The provider itself examines keys that it decodes.
            let decoded = issuer.provider.decodedSecrets
            return issuer.provider.neededSecrets(store).compactMap {
                unusable($0, of: "issuer '\(issuer.name)'", isNeeded: isNeeded, isLine: !decoded.contains($0))
            }
        }
            + configuration.edgeCertificates.compactMap { certificate in
                unusable(
                    certificate.apiToken, of: "edge certificate '\(certificate.displayName)'",
                    isNeeded: isNeeded(certificate))
            }
            + configuration.vaults.flatMap { vault in
                vault.secrets.compactMap { unusable($0, of: "Vault '\(vault.name)'", isNeeded: isNeeded(vault)) }
            }
            + (configuration.alerts?.secrets ?? []).compactMap {
                unusable($0, of: "the webhook for alerts", isNeeded: false)
            }
    }

    private func unusable(
        _ wanted: Secret, of owner: String, isNeeded: Bool, isLine: Bool = true
    ) -> Diagnostic? {
        do throws(IssuanceFailure) {
            _ = isLine ? try secrets.readLine(wanted) : try secrets.read(wanted)
            return nil
        } catch {
            guard !secrets.mayBeElsewhere(wanted) else {
                return .warning(at: wanted.origin, "\(owner): \(error.reason)", hint: Self.secretHint)
            }
            return told(error, at: wanted.origin, owner, isNeeded: isNeeded)
        }
    }

    /// The hint for a secret that is not on this machine.
    static let secretHint = "a dry run needs no secret; an apply and the gateway do; with --strict this is an error"

    private var secrets: SecretReader { SecretReader(directory: file.directory) }
}
