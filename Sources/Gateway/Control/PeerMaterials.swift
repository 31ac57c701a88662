import ConfigModel
import Materials
import PKI
import SystemPackage

/// What trust in peers is made from outside the state: watched files and identities. Whatever can't be used leaves the
/// last good one in force. Confined to the control side.
struct PeerMaterials {
    private var files = WatchedFiles()
    private var identities: [String: Declared] = [:]
    /// The parsed revocation lists of each file, so that hosts with different rules share them.
    private var parsedLists: [String: (version: Int, lists: [RevocationList])] = [:]

    /// An identity of the configuration.
    private struct Declared {
        let settings: NamedIdentity
        var kept: KeptIdentity
        var refreshes = 0
        var failedRefreshes = 0

        /// Counts that the identity was read again.
        mutating func count() { if kept.failure == nil { refreshes += 1 } else { failedRefreshes += 1 } }
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

    /// What the metrics tell.
    var status: PeerStatus {
        PeerStatus(
            identities: identities.mapValues {
                PeerStatus.Identity(
                    notAfter: $0.kept.identity?.notAfter, refreshes: $0.refreshes, failedRefreshes: $0.failedRefreshes)
            },
            nextUpdates: parsedLists.compactMapValues { $0.lists.compactMap(\.nextUpdate).min() })
    }

    // MARK: Looking

    /// Looks at all files and identities. `isForced` reads the files whether they have changed or not.
    mutating func look(isForced: Bool, now: Int64) -> Change {
        let paths = files.look(isForced: isForced)
        var change = Change(files: Set(paths))
        for (name, declared) in identities {
            var kept = declared.kept
            guard kept.look(paths, files, now: now) else { continue }
            identities[name]?.kept = kept
            identities[name]?.count()
            change.identities.insert(name)
        }
        return change
    }

    // MARK: Identities

    func identity(_ name: String) -> Identity? { identities[name]?.kept.identity }
    func settings(of identity: String) -> NamedIdentity? { identities[identity]?.settings }

    var identityNames: [String] { Array(identities.keys) }

    /// What operators should know of identities that are in force, for the log.
    func warnings(now: Int64) -> Set<String> {
        Set(
            identities.flatMap { name, declared in
                declared.kept.warnings(now: now).map { "the certificate of the identity '\(name)' \($0)" }
                    + declared.settings.laxities.map { "the identity '\(name)' \($0)" }
            })
    }

    /// Adds or changes an identity of the configuration.
    mutating func declare(_ settings: NamedIdentity, _ source: IdentitySource, now: Int64) {
        let former = identities[settings.name]
        var kept = KeptIdentity(source, &files, now: now)
        // A changed declaration whose source can't be used leaves the former identity in force.
        if let former { kept.inherit(former.kept) }
        var declared = Declared(settings: settings, kept: kept)
        if let former { (declared.refreshes, declared.failedRefreshes) = (former.refreshes, former.failedRefreshes) }
        declared.count()
        identities[settings.name] = declared
        former?.kept.release(&files)
    }

    mutating func remove(identity name: String) { identities.removeValue(forKey: name)?.kept.release(&files) }

    // MARK: Authorities and lists

    mutating func use(_ caFile: String) { files.use(caFile) }
    mutating func release(_ caFile: String) { files.release(caFile) }

    /// The certificates of CAs in DER. Throws the reason why there are none.
    func authorities(of source: AuthoritySource) throws -> [[UInt8]] {
        switch source {
        case .file(let path):
            let content = try content(of: path)
            do throws(PKIError) {
                let certificates = try PEM.certificates(in: content)
                guard !certificates.isEmpty else { throw .noCertificate }
                return certificates
            } catch {
                throw fault(path, "\(error)")
            }
        case .identity(let name):
            guard let declared = identities[name] else {
                throw Fault(place: "the identity '\(name)'", reason: "it is not declared")
            }
            guard let identity = declared.kept.identity else {
                throw Fault(
                    place: "the identity '\(name)'", reason: declared.kept.failure?.reason ?? "it is not read yet")
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
        let version = files[path].version
        if version > 0, let parsed = parsedLists[path], parsed.version == version { return parsed.lists }
        let content = try content(of: path)
        do {
            let lists = try RevocationList.lists(in: content)
            parsedLists[path] = (version, lists)
            return lists
        } catch {
            throw fault(path, "\(error)")
        }
    }

    /// The last content of a file, which may no longer be readable.
    private func content(of path: String) throws -> [UInt8] {
        let file = files[path]
        guard let content = file.content else {
            throw fault(path, file.failure?.reason ?? "it is not read yet")
        }
        return content.plainCopy()
    }

    /// Why one of these files can't be read now; nil if all can.
    func fault(of paths: [String]) -> Fault? {
        for path in paths {
            if let failure = files[path].failure { return fault(path, failure.reason) }
        }
        return nil
    }

    private func fault(_ path: String, _ reason: String) -> Fault {
        Fault(place: "'\(files.place(of: path))'", reason: reason)
    }

    /// Why a file or an identity can't be used.
    struct Fault: Error, CustomStringConvertible {
        /// How messages call the file or the identity.
        let place: String
        let reason: String

        var description: String { "\(place): \(reason)" }
    }
}

/// Where the CAs of peers come from.
enum AuthoritySource {
    /// A PEM file, as the configuration names it.
    case file(String)
    /// The CAs of an identity.
    case identity(String)
}
