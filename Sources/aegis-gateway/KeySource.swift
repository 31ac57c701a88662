import ConfigModel
import Issuers
import PKI
import State
import SystemPackage

/// Finds the key that seals the state's secrets.
struct KeySource: Sendable {
    let file: String?

    /// Throws if a key is given but can't be read. Called at the start, so that the operator learns of a bad key even
    /// if there is no state yet.
    func check() throws {
        do {
            _ = try given()
        } catch {
            throw GatewayExit(message: "the key of the state (\(file == nil ? Self.variable : "--key-file")): \(error)")
        }
    }

    /// The key comes from the file, else from `AEGIS_SSL_KEY`, else from the state itself.
    func key(for store: any StateStore) throws -> MasterKey {
        if let key = try given() { return key }
        guard let hex = try store.setting(.masterKey) else {
            throw GatewayExit(message: "the state does not keep its key, and none is given")
        }
        return try MasterKey(hex: SecretBytes(hex))
    }

    private func given() throws -> MasterKey? {
        let reader = SecretReader(directory: ".")
        if let file { return try MasterKey(hex: reader.read(Secret(.file(file)))) }
        guard Variable.value(Self.variable) != nil else { return nil }
        return try MasterKey(hex: reader.read(Secret(.environment(Self.variable))))
    }

    private static let variable = "AEGIS_SSL_KEY"
}
