import ConfigModel
import Materials
import PKI
import SystemPackage

/// What trust in peers is made from outside the state: watched files and identities. Whatever can't be used leaves the
/// last good one in force. Confined to the control side.
struct PeerMaterials {
    private(set) var files = WatchedFiles()
    private var identities: [String: Declared] = [:]
    /// The parsed revocation lists of each file, so that hosts with different rules share them.
    private var parsedLists: [String: (version: Int, lists: [RevocationList])] = [:]

    /// An identity of the configuration.
    private struct Declared {
        let settings: NamedIdentity
        var kept: KeptIdentity
    }

    /// What has changed at a look.
    struct Change {
        var files: Set<String> = []
        var identities: Set<String> = []

        var isEmpty: Bool { files.isEmpty && identities.isEmpty }

        /// Whether something has changed that is made from these files and this identity.
        func concerns(_ caFile: String?, _ lists: [String], _ identity: String?) -> Bool {
            let isOfFile = caFile.map { files.contains($0) } ?? false
            let isOfIdentity = identity.map { identities.contains($0) } ?? false
            return isOfFile || isOfIdentity || lists.contains { files.contains($0) }
        }
    }

    /// The directory where relative paths begin.
    var directory: FilePath {
        get { files.directory }
        set { files.directory = newValue }
    }

    /// Whether `look` should be called again within a tenth of a second.
    var isChanging: Bool { files.isChanging }

    /// The reasons why identities can't be used now, by name.
    var identityFailures: [String: String] { identities.compactMapValues { $0.kept.failure?.reason } }

    // MARK: Looking

    /// Looks at all files and identities. `isForced` reads the files whether they have changed or not.
    mutating func look(isForced: Bool, now: Int64) -> Change {
        let paths = files.look(isForced: isForced)
        var change = Change(files: Set(paths))
        for (name, declared) in identities {
            var kept = declared.kept
            guard kept.look(paths, files, now: now) else { continue }
            identities[name]?.kept = kept
            change.identities.insert(name)
        }
        return change
    }

    // MARK: Identities

    func identity(_ name: String) -> Identity? { identities[name]?.kept.identity }
    func settings(of identity: String) -> NamedIdentity? { identities[identity]?.settings }

    var identityNames: [String] { Array(identities.keys) }

    /// Adds or changes an identity of the configuration.
    mutating func declare(_ settings: NamedIdentity, _ source: IdentitySource, now: Int64) {
        let former = identities[settings.name]
        var kept = KeptIdentity(source, &files, now: now)
        // A changed declaration whose source can't be used leaves the former identity in force.
        if let former { kept.inherit(former.kept) }
        identities[settings.name] = Declared(settings: settings, kept: kept)
        former?.kept.release(&files)
    }

    mutating func remove(identity name: String) { identities.removeValue(forKey: name)?.kept.release(&files) }

    // MARK: Authorities and lists

    /// How messages call the place of CAs.
    func place(of authorities: AuthoritySource) -> String {
        switch authorities {
        case .file(let path): "'\(files.place(of: path))'"
        case .identity(let name): "the identity '\(name)'"
        }
    }

    mutating func use(_ caFile: String) { files.use(caFile) }
    mutating func release(_ caFile: String) { files.release(caFile) }

    /// The certificates of CAs in DER. Throws the reason why there are none.
    func authorities(of source: AuthoritySource) throws -> [[UInt8]] {
        switch source {
        case .file(let path): return try PEM.certificates(in: content(of: path))
        case .identity(let name):
            guard let declared = identities[name] else { throw Missing(description: "there is no such identity") }
            guard let identity = declared.kept.identity else {
                throw Missing(description: declared.kept.failure?.reason ?? "it is not read yet")
            }
            return identity.authorities
        }
    }

    mutating func useList(_ path: String) { files.use(path, atMost: 2 * RevocationList.maximumBytes) }

    mutating func releaseList(_ path: String) {
        files.release(path)
        if files[path].version == 0 { parsedLists[path] = nil }
    }

    /// The revocation lists in a file.
    mutating func lists(in path: String) throws -> [RevocationList] {
        let content = try content(of: path)
        let version = files[path].version
        if let parsed = parsedLists[path], parsed.version == version { return parsed.lists }
        do {
            let lists = try RevocationList.lists(in: content)
            parsedLists[path] = (version, lists)
            return lists
        } catch {
            throw Missing(description: "the revocation lists in '\(files.place(of: path))': \(error)")
        }
    }

    private func content(of path: String) throws -> [UInt8] {
        let file = files[path]
        if let failure = file.failure { throw Missing(description: failure.reason) }
        return file.content?.plainCopy() ?? []
    }

    /// The reason why something is not there.
    private struct Missing: Error, CustomStringConvertible {
        let description: String
    }
}

/// Where the CAs of peers come from.
enum AuthoritySource {
    /// A PEM file, as the configuration names it.
    case file(String)
    /// The CAs of an identity.
    case identity(String)
}
