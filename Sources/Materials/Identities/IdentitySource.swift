import PKI
import PrivateFiles
import SystemPackage

/// Where an identity comes from, according to the configuration.
package enum IdentitySource: Sendable, Equatable {
    /// PEM files, which are watched. Paths may be relative to `WatchedFiles.directory`.
    case files(certificate: String, key: String, authorities: String?)
    /// Environment variables with PEM, or base64 of PEM. They are read once.
    case variables(certificate: String, key: String, authorities: String)
    /// A directory with a development CA (`DevelopmentIdentity`).
    case development(directory: String, nodeID: String, addressHost: String?)
    /// A Vault. The gateway's `VaultKeeper` obtains the identity and passes it to `KeptIdentity.deliver`.
    case vault(VaultIdentityDeclaration)

    /// The variables that are read if the configuration names none.
    package static let defaultVariables = IdentitySource.variables(
        certificate: "AEGIS_TLS_CERT", key: "AEGIS_TLS_KEY", authorities: "AEGIS_TLS_CA")
}

extension IdentitySource {
    /// Why an identity that could be read has no CAs of peers.
    package var reasonForLackOfAuthorities: String {
        let reason =
            switch self {
            case .files, .development: "it has no ca_file"
            case .variables(_, _, let authorities): "the variable \(authorities) is not set"
            case .vault: "its Vault has given none"
            }
        return "it has no CAs of peers: \(reason)"
    }

    /// The files that the identity is read from.
    var paths: [String] {
        switch self {
        case .files(let certificate, let key, let authorities): [certificate, key] + [authorities].compactMap(\.self)
        case .variables, .vault: []
        case .development(let directory, let nodeID, _): Self.paths(in: directory, of: nodeID)
        }
    }

    private static func paths(in directory: String, of nodeID: String) -> [String] {
        let names = DevelopmentIdentity.FileNames(nodeID: nodeID)
        return [names.certificate, names.key, names.authority].map { "\(directory)/\($0)" }
    }

    /// Reads the identity. `readAgainAt` is when it must be read again even if no file has changed, in seconds since
    /// 1970.
    func read(
        _ files: WatchedFiles, now: Int64, variable: (String) -> SecretBytes?
    ) throws(IdentityFault) -> (Identity, readAgainAt: Int64) {
        switch self {
        case .files(let certificate, let key, let authorities):
            let origin = IdentityOrigin(
                certificate: "cert_file '\(files.place(of: certificate))'", key: "key_file '\(files.place(of: key))'",
                authorities: authorities.map { "ca_file '\(files.place(of: $0))'" } ?? "no ca_file")
            let certificate = try Self.content(of: certificate, files, origin.certificate)
            if let exposure = PrivateFile.exposure(files[key].permissions, files.place(of: key).string) {
                throw IdentityFault("\(origin.key): \(exposure)")
            }
            let key = try Self.content(of: key, files, origin.key)
            let content = try authorities.map { (path) throws(IdentityFault) -> SecretBytes in
                try Self.content(of: path, files, origin.authorities)
            }
            let identity = try Identity(
                certificate: certificate.plainCopy(), key: key, authorities: content?.plainCopy(), origin: origin,
                now: now)
            return (identity, .max)
        case .variables(let certificate, let key, let authorities):
            let origin = IdentityOrigin(
                certificate: "the variable \(certificate)", key: "the variable \(key)",
                authorities: "the variable \(authorities)")
            let identity = try Identity(
                certificate: Self.pem(variable(certificate), origin.certificate).plainCopy(),
                key: Self.pem(variable(key), origin.key),
                authorities: variable(authorities).map { (value) throws(IdentityFault) -> [UInt8] in
                    try Self.pem(value, origin.authorities).plainCopy()
                }, origin: origin, now: now)
            return (identity, .max)
        case .development(let directory, let nodeID, let addressHost):
            let made = DevelopmentIdentity(
                directory: files.place(of: directory), nodeID: nodeID, addressHost: addressHost)
            // The gateway's control side must not wait long. After a failure it reads the identity again a second
            // later.
            let content = try made.open(now: now, patienceSeconds: 1)
            let origin = IdentityOrigin(
                certificate: "'\(made.names.certificate)'", key: "'\(made.names.key)'",
                authorities: "'\(made.names.authority)'")
            let identity = try Identity(
                certificate: content.certificate, key: content.key, authorities: content.authority, origin: origin,
                now: now)
            return (identity, content.renewAt)
        case .vault: throw .notObtained
        }
    }

    private static func content(
        of path: String, _ files: WatchedFiles, _ origin: String
    ) throws(IdentityFault) -> SecretBytes {
        let file = files[path]
        guard file.failure == nil, let content = file.content else {
            throw IdentityFault("\(origin): \(file.failure?.reason ?? "it is not read yet")")
        }
        return content
    }

    private static func pem(_ value: SecretBytes?, _ origin: String) throws(IdentityFault) -> SecretBytes {
        guard let value else { throw IdentityFault("\(origin) is not set") }
        return try IdentityFault.of(origin) { () throws(IdentityFault) -> SecretBytes in try VariableText.pem(value) }
    }
}
