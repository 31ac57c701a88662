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

/// The result of checking a file of trusted CA certificates, by which the server of an upstream or of a CA is verified.
enum TrustFile {
    case good
    /// The file does not exist here; a gateway on another machine may have it.
    case missing(IssuanceFailure)
    case bad(IssuanceFailure)

    var failure: IssuanceFailure? {
        switch self {
        case .good: nil
        case .missing(let failure), .bad(let failure): failure
        }
    }

    /// Reads and checks a file; `path` is relative to `directory`.
    static func read(_ path: String, in directory: FilePath) -> TrustFile {
        let pem: SecretBytes
        let reader = SecretReader(directory: directory)
        do throws(IssuanceFailure) {
            pem = try reader.read(Secret(.file(path)))
        } catch {
            let failure = IssuanceFailure("the CAs to trust: \(error.reason)")
            return reader.resolve(path).exists ? .bad(failure) : .missing(failure)
        }
        do throws(PKIError) {
            _ = try PeerRules(serversOf: pem.plainCopy())
            return .good
        } catch {
            return .bad(IssuanceFailure("the CAs in '\(path)' can't be used: \(error)"))
        }
    }
}

/// Checks the `ca_file`s of hosts, which are for verifying upstreams.
struct UpstreamTrustFiles {
    /// The changed hosts that are refused, and why.
    private(set) var refused: [ItemID: IssuanceFailure] = [:]
    /// Errors and warnings, at the positions of the hosts that name the files.
    private(set) var errors: [Diagnostic] = []
    private(set) var warnings: [Diagnostic] = []

    init(_ plan: Plan, of configuration: Configuration, in file: ConfigurationFile) {
        var known: [String: TrustFile] = [:]
        // The loop uses indices, since iterating would copy each of very many hosts.
        for index in configuration.hosts.indices {
            guard let path = configuration.hosts[index].upstreamTLS?.caFile else { continue }
            let host = configuration.hosts[index]
            guard host.upstreams.contains(where: \.isTLS) else { continue }
            let content = known[path] ?? TrustFile.read(path, in: file.directory)
            known[path] = content
            switch content {
            case .good: break
            case .missing(let failure):
                warnings.append(
                    .warning(
                        at: host.origin, "host '\(host.domain.text)': \(failure.reason)",
                        hint: "the gateway needs it: until it has it, these upstreams are not connected to"))
            case .bad(let failure):
                refused[ItemID(.host, host.domain.text)] = IssuanceFailure(
                    failure.reason, hint: "the host stays as it was; ca_file names certificates in PEM")
                errors.append(
                    .error(
                        at: host.origin, "host '\(host.domain.text)' will be refused: \(failure.reason)",
                        hint: "ca_file names certificates in PEM"))
            }
        }
    }
}
