import ConfigModel
import State

/// The files with CAs and revocation lists that hosts of the API may use.
extension OwnedItems {
    /// Throws if the host names a file that it may not use. A host may use a file for a purpose if it did so before the
    /// change (`former`), or if a host or an identity of aegis.yaml names the file for the same purpose. Otherwise a
    /// client of the API could learn which files the machine has, and what is in them.
    func refuseUnknownFiles(of host: Host, former: Host?) throws {
        let known = Set(former?.peerFiles.map(\.file) ?? [])
        let unknown = try host.peerFiles.filter { try !known.contains($0.file) && !isNamedByTheFile($0.file) }
        guard unknown.isEmpty else {
            throw OperationFailure(
                .invalid, "the host breaks rules",
                faults: unknown.map { pointer, file in
                    OperationFailure.Fault(
                        at: pointer,
                        "can't be used as \(file.use.rawValue), since no item of aegis.yaml names this path; use a path "
                            + "that it names, or an identity")
                })
        }
    }

    /// Whether an item of aegis.yaml names the file for the same use.
    private func isNamedByTheFile(_ file: PeerFile) throws -> Bool {
        try store.hosts(mentioning: file.path).contains { _, item in
            item.owner == .file && Host(record: item.record)?.peerFiles.contains { $0.file == file } == true
        } || store.items(of: .identity).contains { NamedIdentity(record: $0.item.record)?.authoritiesFile == file }
    }
}

/// A file with which a host or an identity verifies its peers.
private struct PeerFile: Hashable {
    enum Use: String {
        case authorities = "a list of CAs"
        case revocations = "a revocation list"
    }

    let path: String
    let use: Use
}

extension Host {
    /// The files with which the host verifies upstreams and clients. `pointer` is the JSON pointer of the setting that
    /// names the file.
    fileprivate var peerFiles: [(pointer: String, file: PeerFile)] {
        let authorities = [
            ("/upstream_tls/ca_file", upstreamTLS?.caFile), ("/client_auth/ca_file", clientAuth?.caFile),
        ].compactMap { pointer, path in
            path.map { (pointer: pointer, file: PeerFile(path: $0, use: .authorities)) }
        }
        let lists = (clientAuth?.revocationLists ?? []).enumerated().map { index, path in
            (pointer: "/client_auth/crl_files/\(index)", file: PeerFile(path: path, use: .revocations))
        }
        return authorities + lists
    }
}

extension NamedIdentity {
    fileprivate var authoritiesFile: PeerFile? {
        guard case .files(let files) = source else { return nil }
        return files.authoritiesFile.map { PeerFile(path: $0, use: .authorities) }
    }
}
