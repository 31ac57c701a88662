import ConfigModel
import Materials
import PKI
import State
import SystemPackage

/// What trust in peers is made from outside the state: watched files and identities. Whatever can't be used leaves the
/// last good one in force. Confined to the control side.
struct PeerMaterials {
    private var files = WatchedFiles()
    private var identities: [String: Declared] = [:]
    /// Finds what the state has of an identity from a Vault, while items of the state are read.
    var stored: (String) -> (declaration: [UInt8], identity: Identity)? = { _ in nil }
    /// The parsed revocation lists of each file, so that hosts with different rules share them.
    private var parsedLists: [String: (version: Int, lists: [RevocationList])] = [:]

    /// An identity of the configuration.
    private struct Declared {
        let settings: NamedIdentity
        var kept: KeptIdentity
        var refreshes = 0
        var failedRefreshes = 0

        /// When it renews itself, in seconds since 1970; nil if somebody else replaces it.
        var renewsAt: Int64? {
            guard case .vault(let vault) = settings.source, vault.issued != nil, let identity = kept.identity
            else { return kept.renewsAt }
            return identity.expiresAt - (identity.expiresAt - identity.chain.leaf.notBefore) / 3
        }

        /// Counts that the identity was read again.
        mutating func count() { if kept.failure == nil { refreshes += 1 } else { failedRefreshes += 1 } }

        /// Says that the source can't be used now.
        func sentence(_ name: String, _ reason: String) -> String {
            guard case .vault(let declaration) = kept.source else {
                return "the identity '\(name)' can't be used: \(reason)"
            }
            let vault = "from Vault '\(declaration.vault)'"
            guard let notAfter = kept.identity?.notAfter else {
                return "the identity '\(name)' can't be obtained \(vault): \(reason)"
            }
            let end = UTCTime.text(notAfter)
            return "the identity '\(name)' serves until \(end), but can't be refreshed \(vault): \(reason)"
        }
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

    /// Why identities can't be used now, a sentence each.
    var identityFailures: [String] {
        identities.compactMap { name, declared in
            declared.kept.failure.map { declared.sentence(name, $0.reason) }
        }
    }

    /// Why there is no identity of a name that could be used.
    func reasonForLack(of identity: String) -> String {
        guard let declared = identities[identity] else { return "the state has no such identity" }
        return declared.kept.failure?.reason ?? IdentityFault.notObtained.description
    }

    /// What is to be obtained from each Vault, by the Vault's and the identity's name.
    var declarationsByVault: [String: [String: VaultIdentityDeclaration]] {
        var declarations: [String: [String: VaultIdentityDeclaration]] = [:]
        for (name, declared) in identities {
            if case .vault(let declaration) = declared.kept.source {
                declarations[declaration.vault, default: [:]][name] = declaration
            }
        }
        return declarations
    }

    /// What the metrics tell.
    var status: PeerStatus {
        PeerStatus(
            identities: identities.mapValues {
                PeerStatus.Identity(
                    notAfter: $0.kept.identity?.notAfter, refreshes: $0.refreshes, failedRefreshes: $0.failedRefreshes)
            },
            nextUpdates: parsedLists.compactMapValues { $0.lists.compactMap(\.nextUpdate).min() })
    }

    /// The identities that were read, with their ends. `startedAt` is when the gateway started, in seconds since 1970.
    func expiringItems(startedAt: Int64) -> [ExpiringItem] {
        identities.compactMap { name, declared in
            guard let identity = declared.kept.identity else { return nil }
            let fingerprint = Digest.sha256Text(identity.chain.leaf.der)
            return ExpiringItem(
                subject: ExpiryAlert.Subject(.identity, name, fingerprint: fingerprint), notAfter: identity.expiresAt,
                overdueAt: declared.renewsAt.map {
                    ExpiringItem.overdueAt(
                        renewsAt: $0, notAfter: identity.expiresAt, startedAt: startedAt,
                        hasFailed: declared.kept.failure != nil)
                })
        }
    }

    // MARK: Looking

    /// Looks at all files and identities, and takes what was obtained from Vaults. `isForced` reads the files whether they
    /// have changed or not.
    mutating func look(isForced: Bool, deliveries: [VaultDesk.Delivery], now: Int64) -> Change {
        let paths = files.look(isForced: isForced)
        var change = Change(files: Set(paths), identities: take(deliveries, now: now))
        for (name, declared) in identities {
            var kept = declared.kept
            guard kept.look(paths, files, now: now) else { continue }
            identities[name]?.kept = kept
            identities[name]?.count()
            change.identities.insert(name)
        }
        return change
    }

    /// Returns the names of the identities that have changed. What was obtained for a former declaration is dropped.
    private mutating func take(_ deliveries: [VaultDesk.Delivery], now: Int64) -> Set<String> {
        var changed: Set<String> = []
        for delivery in deliveries {
            guard var declared = identities[delivery.name], case .vault(let declaration) = declared.kept.source,
                declaration.digest == delivery.declaration
            else { continue }
            let isChanged = declared.kept.deliver(delivery.result, now: now)
            // Each failure counts, though the log has only the first one of the same reason.
            if isChanged || declared.kept.failure != nil { declared.count() }
            identities[delivery.name] = declared
            if isChanged { changed.insert(delivery.name) }
        }
        return changed
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
        if case .vault(let declaration) = source { begin(&kept, declaration, former?.kept, now: now) }
        // A changed declaration whose source can't be used leaves the former identity in force.
        if let former { kept.inherit(former.kept) }
        var declared = Declared(settings: settings, kept: kept)
        if let former { (declared.refreshes, declared.failedRefreshes) = (former.refreshes, former.failedRefreshes) }
        if case .vault = source {} else { declared.count() }
        identities[settings.name] = declared
        former?.kept.release(&files)
    }

    /// Begins with what is known of an identity from a Vault, which is asked on another thread.
    private func begin(
        _ kept: inout KeptIdentity, _ declaration: VaultIdentityDeclaration, _ former: KeptIdentity?, now: Int64
    ) {
        if let former, former.identity != nil, case .vault(let same) = former.source, same.digest == declaration.digest
        {
            return kept.resume(former)
        }
        // An identity of former settings stays until there is one of these.
        guard let stored = stored(declaration.name),
            stored.declaration == declaration.digest || former?.identity == nil
        else { return }
        _ = kept.deliver(.success(stored.identity), now: now)
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
                throw Fault(place: "the identity '\(name)'", reason: reasonForLack(of: name))
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
