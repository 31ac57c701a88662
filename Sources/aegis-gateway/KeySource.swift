import ConfigModel
import Issuers
import PKI
import State
import SystemPackage

/// Finds the key that seals the secrets of the state.
struct KeySource: Sendable {
    let file: String?

    /// Throws if a key is given but can't be read. Called at the start, before the gateway waits for a state.
    func check() throws {
        do {
            _ = try given()
        } catch {
            throw GatewayExit(message: "the key of the state (\(file == nil ? Self.variable : "--key-file")): \(error)")
        }
    }

    /// The key from the first place that has one: the file, `AEGIS_SSL_KEY`, the state itself.
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
