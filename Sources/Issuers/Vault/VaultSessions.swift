import ConfigModel
import PKI
import PrivateFiles
import State
import Synchronization
import SystemPackage
import Vault

/// The sessions of a process with the Vaults in the state. Threads may share this object.
///
/// A session is reused until the Vault's settings or its CA file change. A new session would need a login, which
/// creates a token at the Vault and may consume a secret ID. A token is renewed when a call needs it.
final class VaultSessions: Sendable {
    private struct Kept {
        let settings: ConfigModel.VaultServer
        let authorities: [UInt8]?
        let session: VaultSession
    }

    private let context: IssuanceContext
    private let kept = Mutex<[String: Kept]>([:])

    init(_ context: IssuanceContext) { self.context = context }

    /// The session with a Vault, for the settings that the state has now. A new session sends nothing yet.
    func session(named name: String) throws(IssuanceFailure) -> VaultSession {
        guard var settings = try Self.item(ItemID(.vault, name), as: ConfigModel.VaultServer.self, context) else {
            throw IssuanceFailure("there is no Vault '\(name)' in the state", hint: "aegis-apply puts it there")
        }
        settings.name = name
        let context = self.context
        let authorities = try settings.caFile.map(context.secrets.authorities)
        return try kept.withLock { kept throws(IssuanceFailure) in
            if let known = kept[name], known.settings == settings, known.authorities == authorities {
                return known.session
            }
            let session = try VaultSession(
                settings, authorities: authorities, secrets: context.secrets, jitter: .random(in: .min ... .max),
                now: context.now
            ) { try Self.credential(of: $0, context) }
            kept[name] = Kept(settings: settings, authorities: authorities, session: session)
            return session
        }
    }

    private static func item<Value: Recorded>(
        _ id: ItemID, as type: Value.Type, _ context: IssuanceContext
    ) throws(IssuanceFailure) -> Value? {
        do throws(StateError) {
            return try context.store.item(id).flatMap { Value(record: $0.record) }
        } catch {
            throw IssuanceFailure("\(error)")
        }
    }

    /// The certificate and key of an identity, for a login by certificate. They are read again at each call.
    private static func credential(of identity: String, _ context: IssuanceContext) throws -> TLSCredential {
        let secrets = context.secrets
        let (certificate, key): (Secret, Secret)
        switch try item(ItemID(.identity, identity), as: NamedIdentity.self, context)?.source {
        case .files(let files):
            let file = try PrivateFile.openRegular(secrets.resolve(files.keyFile))
            let mode = try file.closeAfter { try file.stat().permissions }
            if let exposure = PrivateFile.exposure(mode, files.keyFile) {
                throw IssuanceFailure("'\(files.keyFile)': \(exposure)")
            }
            (certificate, key) = (Secret(.file(files.certificateFile)), Secret(.file(files.keyFile)))
        case .environment(let variables):
            certificate = Secret(.environment(variables.certificateVariable))
            key = Secret(.environment(variables.keyVariable))
        case .development, .vault:
            throw IssuanceFailure(
                "identity '\(identity)' is not read for issuers", hint: "log in with one of source file or env")
        case nil: throw IssuanceFailure("there is no identity '\(identity)' in the state")
        }
        let privateKey = try PrivateKey(pem: secrets.read(key))
        let chain = try CertificateChain(pem: secrets.read(certificate).plainCopy(), key: privateKey)
        return try TLSCredential(chain: chain.certificates.map(\.der), key: privateKey)
    }
}
