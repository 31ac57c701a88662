import ConfigModel
import Issuers
import PKI
import State
import SystemPackage

/// Where the key comes from that the state is sealed with.
struct KeySource: Sendable {
    let file: String?

    /// The key, from the first place that has one: the file, `AEGIS_SSL_KEY`, the state itself.
    func key(for store: any StateStore) throws -> MasterKey {
        let reader = SecretReader(directory: ".")
        if let file { return try MasterKey(hex: reader.read(Secret(.file(file)))) }
        if Variable.value(Self.variable) != nil {
            return try MasterKey(hex: reader.read(Secret(.environment(Self.variable))))
        }
        guard let hex = try store.setting(.masterKey) else {
            throw GatewayExit(message: "the state does not keep its key: set \(Self.variable) or --key-file")
        }
        return try MasterKey(hex: SecretBytes(hex))
    }

    private static let variable = "AEGIS_SSL_KEY"
}
