import ACME
import ConfigModel
import DNS
import Glibc
import Issuers
import PKI
import PrivateFiles
import Reconciler
import SQLiteState
import State
import SystemPackage

/// Finds faults that would certainly make an apply fail, from the files and variables on this machine. It writes
/// nothing and uses no network. A missing secret is only a warning, since a machine that only plans has no secrets.
struct Obstacles {
    let file: ConfigurationFile
    let configuration: Configuration
    let plan: Plan
    /// Nil when there is no state yet.
    let store: SQLiteStateStore?

    /// All errors and warnings. An issuer that the plan does not need gets a warning only.
    func found() -> [Diagnostic] {
        state() + localAuthority() + configuration.issuers.flatMap(issuer) + missingSecrets()
    }

    // MARK: Directories

    private func state() -> [Diagnostic] {
        guard !plan.isEmpty else { return [] }
        let path = file.resolve(configuration.statePath)
        let hint = "state.path says where it is"
        if let reason = PrivateDirectory.obstacle(at: path.removingLastComponent()) {
            return [.error(at: .none, "the state '\(path)' can't be written: \(reason)", hint: hint)]
        }
        // `access(2)` reads the path only during the call.
        if store != nil, unsafe path.withPlatformString({ unsafe access($0, W_OK) }) != 0 {
            let reason = Errno(rawValue: errno)
            return [.error(at: .none, "the state '\(path)' can't be written: \(reason)", hint: hint)]
        }
        return store?.exposure.map { [.error(at: .none, "the state '\(path)' is refused: \($0)")] } ?? []
    }

    private func localAuthority() -> [Diagnostic] {
        let directory = CertificateMaterials.cacheDirectory(configuration, file)
        guard let failure = LocalAuthority.obstacle(in: directory, now: currentTime()) else { return [] }
        let issuers = configuration.issuers.filter { $0.kind == .localCA }
        guard !issuers.isEmpty else { return [.warning(at: .none, failure.reason, hint: failure.hint)] }
        return issuers.map { told(failure, of: $0) }
    }

    // MARK: Issuers

    private func issuer(_ issuer: Issuer) -> [Diagnostic] {
        var failures: [IssuanceFailure?] = []
        switch issuer.kind {
        case .acme(let settings):
            failures = [trust(settings.caFile), externalAccount(settings), updateKey(settings)]
        case .cloudflareOrigin(let settings): failures = [trust(settings.caFile)]
        case .localCA: break
        }
        return failures.compactMap(\.self).map { told($0, of: issuer) }
    }

    private func told(_ failure: IssuanceFailure, of issuer: Issuer) -> Diagnostic {
        let isNeeded = plan.needsIssuer(issuer.name, of: configuration)
        let text = "issuer '\(issuer.name)'\(isNeeded ? " will issue nothing" : ""): \(failure.reason)"
        return isNeeded
            ? .error(at: issuer.origin, text, hint: failure.hint)
            : .warning(at: issuer.origin, text, hint: failure.hint)
    }

    private func trust(_ path: String?) -> IssuanceFailure? {
        path.flatMap { TrustFile.read($0, in: file.directory).failure }
    }

    private func externalAccount(_ settings: ACMEIssuer) -> IssuanceFailure? {
        guard let external = settings.externalAccount, !hasAccount(settings, external),
            let key = try? secret(external.hmacKey)
        else { return nil }
        do throws(ACMEError) {
            _ = try ACMEExternalAccount(keyID: external.keyID, encodedKey: key)
            return nil
        } catch {
            return IssuanceFailure("\(error) (\(external.hmacKey))")
        }
    }

    /// Whether Aegis already has an account at the CA. The external account key is needed only to create the account.
    private func hasAccount(_ settings: ACMEIssuer, _ external: ExternalAccount) -> Bool {
        let known = try? store?.accounts().first {
            $0.id.directory == settings.directory.text && $0.id.externalKeyID == external.keyID
        }
        return known?.url != nil
    }

    private func updateKey(_ settings: ACMEIssuer) -> IssuanceFailure? {
        guard settings.challenge == .dns01, case .rfc2136(let server)? = settings.dns?.method, let tsig = server.tsig,
            let key = try? secret(tsig.secret)
        else { return nil }
        do throws(DNSFailure) {
            _ = try DNSUpdateKey(name: tsig.name, algorithm: .sha256, secret: key)
            return nil
        } catch {
            return IssuanceFailure("\(error.reason) (\(tsig.secret))", hint: error.hint)
        }
    }

    // MARK: Secrets

    /// Warnings about missing secrets; none for a plan without changes, since a machine that only plans usually has no
    /// secrets.
    private func missingSecrets() -> [Diagnostic] {
        guard !plan.isEmpty else { return [] }
        return configuration.issuers.flatMap { issuer in
            secrets(of: issuer).compactMap { missing($0, of: "issuer '\(issuer.name)'") }
        }
            + configuration.edgeCertificates.compactMap {
                missing($0.apiToken, of: "edge certificate '\($0.displayName)'")
            }
            + configuration.vaults.flatMap { vault in
                vault.secrets.compactMap { missing($0, of: "Vault '\(vault.name)'") }
            } + (configuration.alerts?.secrets ?? []).compactMap { missing($0, of: "the webhook of alerts") }
    }

    private func secrets(of issuer: Issuer) -> [Secret] {
        guard case .acme(let settings) = issuer.kind, let external = settings.externalAccount,
            hasAccount(settings, external)
        else { return issuer.secrets }
        return issuer.secrets.filter { $0 != external.hmacKey }
    }

    private func missing(_ wanted: Secret, of owner: String) -> Diagnostic? {
        do throws(IssuanceFailure) {
            _ = try secret(wanted)
            return nil
        } catch {
            return .warning(at: wanted.origin, "\(owner): \(error.reason)", hint: Self.secretHint)
        }
    }

    /// The hint for a secret that is not on this machine.
    static let secretHint = "a dry run needs no secret; whoever is to use it does"

    private func secret(_ secret: Secret) throws(IssuanceFailure) -> SecretBytes {
        try SecretReader(directory: file.directory).read(secret)
    }
}
