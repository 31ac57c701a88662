import ConfigModel
import Materials
import PKI
import State
import SystemPackage

/// The CA files, revocation lists and identities by which peers are verified. All are watched for changes. If one can't
/// be used, its last good version stays in force. Only the control side may use this type.
struct PeerMaterials {
    private var files = WatchedFiles()
    private var identities: [String: Declared] = [:]
    /// Finds the stored form of an identity from a Vault. Set while the state is being read.
    var stored: (String) -> (declaration: [UInt8], identity: Identity)? = { _ in nil }
    private var authorityFiles: [String: AuthorityFile] = [:]
    /// The revocation lists of each file, so that different rules can share them.
    private var listFiles = ListFiles()

    /// The CAs in a file.
    private struct AuthorityFile {
        /// The version of the content that was last read.
        var version: Int
        /// The last certificates that could be used, in DER; nil if there were none yet.
        var certificates: [[UInt8]]?
        /// Why the content that was last read can't be used; nil if it can.
        var fault: String?
    }

    /// An identity that the configuration declares.
    private struct Declared {
        let settings: NamedIdentity
        var kept: KeptIdentity
        var refreshes = 0
        var failedRefreshes = 0

        /// When the gateway or its Vault renews the identity, in seconds since 1970; nil if an operator replaces it.
        var renewsAt: Int64? {
            guard case .vault(let vault) = settings.source, vault.issued != nil, let identity = kept.identity
            else { return kept.renewsAt }
            return identity.expiresAt - (identity.expiresAt - identity.chain.leaf.notBefore) / 3
        }

        /// Counts an attempt to read the identity again as a success or a failure.
        mutating func count() { if kept.failure == nil { refreshes += 1 } else { failedRefreshes += 1 } }

        /// A message for the log, which says that the identity can't be used or refreshed, and why.
        func sentence(_ name: String, _ reason: String) -> String {
            guard case .vault(let declaration) = kept.source else {
                let rest = kept.identity == nil ? "" : "; the former one is used on"
                return "the identity '\(name)' can't be used: \(reason)\(rest)"
            }
            let vault = "from Vault '\(declaration.vault)'"
            guard let notAfter = kept.identity?.notAfter else {
                return "the identity '\(name)' can't be obtained \(vault): \(reason)"
            }
            let end = UTCTime.text(notAfter)
            return "the identity '\(name)' serves until \(end), but can't be refreshed \(vault): \(reason)"
        }
    }

    /// The files and identities that one call of `look` found changed.
    struct Change {
        var files: Set<String> = []
        var identities: Set<String> = []

        var isEmpty: Bool { files.isEmpty && identities.isEmpty }

        /// Whether this change affects rules that are made from these files and this identity.
        func concerns(_ caFile: String?, _ lists: [String], _ identity: String?) -> Bool {
            let isOfFile = caFile.map { files.contains($0) } ?? false
            let isOfIdentity = identity.map { identities.contains($0) } ?? false
            return isOfFile || isOfIdentity || lists.contains { files.contains($0) }
        }
    }

    /// Relative paths start at this directory.
    var directory: FilePath {
        get { files.directory }
        set { files.directory = newValue }
    }

    /// The full paths of all files, and a number that changes with them.
    var places: [FilePath] { files.places }
    var placesVersion: Int { files.placesVersion }

    /// Whether `look` should be called again within a tenth of a second.
    var isChanging: Bool { files.isChanging }

    /// A message for each identity that can't be used or refreshed now, by its name.
    var identityFailures: [String: String] {
        Dictionary(
            identities.compactMap { name, declared in
                declared.kept.failure.map { (name, declared.sentence(name, $0.reason)) }
            }
        ) { $1 }
    }

    /// A message for each identity in force that has expired, by its name. An identity whose replacement can't be used
    /// is left out, since `identityFailures` reports it.
    func expired(now: Int64) -> [String: String] {
        Dictionary(
            identities.compactMap { name, declared in
                guard declared.kept.failure == nil, let end = declared.kept.identity?.expiresAt, end <= now else {
                    return nil
                }
                return (name, "the identity '\(name)' expired on \(UTCTime.text(end)), and is shown all the same")
            }
        ) { $1 }
    }

    /// The reason why the identity of this name is not available.
    func reasonForLack(of identity: String) -> String {
        guard let declared = identities[identity] else { return "the state has no such identity" }
        return declared.kept.failure?.reason ?? IdentityFault.notObtained.description
    }

    /// Why the identity of this name has no CAs.
    func reasonForLackOfAuthorities(of identity: String) -> String {
        identities[identity]?.kept.source.reasonForLackOfAuthorities ?? "the state has no such identity"
    }

    /// What the keepers must obtain: declarations by the Vault's name and the identity's name.
    var declarationsByVault: [String: [String: VaultIdentityDeclaration]] {
        var declarations: [String: [String: VaultIdentityDeclaration]] = [:]
        for (name, declared) in identities {
            if case .vault(let declaration) = declared.kept.source {
                declarations[declaration.vault, default: [:]][name] = declaration
            }
        }
        return declarations
    }

    /// The status of the identities and revocation lists, for the metrics. The caller adds `hostsAllowingExpired`.
    var status: PeerStatus {
        PeerStatus(
            identities: identities.mapValues {
                PeerStatus.Identity(
                    notAfter: $0.kept.identity?.notAfter, refreshes: $0.refreshes, failedRefreshes: $0.failedRefreshes,
                    allowsExpired: $0.settings.peers.allowsExpired)
            },
            nextUpdates: listFiles.nextUpdates)
    }

    /// The identities that are in force, with their expiry. `startedAt` is when the gateway started, in seconds since
    /// 1970.
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

    // MARK: Checking for changes

    /// Checks all files and identities for changes. Puts in force the identities that Vaults have delivered, and the
    /// revocation lists that were parsed. With `isForced`, files are read even if they look unchanged.
    mutating func look(
        isForced: Bool, deliveries: [VaultExchange.Delivery], lists: [ListFiles.Reading], now: Int64
    ) -> Change {
        let paths = files.look(isForced: isForced)
        var change = Change(files: Set(paths), identities: accept(deliveries, now: now))
        for path in paths where authorityFiles[path] != nil { readAuthorities(in: path) }
        for reading in lists where listFiles.put(reading) { change.files.insert(reading.path) }
        for (name, declared) in identities {
            var kept = declared.kept
            guard kept.look(paths, files, now: now) else { continue }
            identities[name]?.kept = kept
            identities[name]?.count()
            change.identities.insert(name)
        }
        return change
    }

    /// Puts deliveries in force and returns the names of the identities that have changed. A delivery is dropped if the
    /// identity has another declaration by now.
    private mutating func accept(_ deliveries: [VaultExchange.Delivery], now: Int64) -> Set<String> {
        var changed: Set<String> = []
        for delivery in deliveries {
            guard var declared = identities[delivery.name], case .vault(let declaration) = declared.kept.source,
                declaration.digest == delivery.declaration
            else { continue }
            let isChanged = declared.kept.deliver(delivery.result, now: now)
            // Every failed attempt counts in the metrics, although the log reports only the first one with the same
            // reason.
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

    /// Warnings about the identities in force, for the log.
    func warnings(now: Int64) -> Set<String> {
        Set(
            identities.flatMap { name, declared in
                declared.kept.warnings(now: now).map { "the certificate of the identity '\(name)' \($0)" }
                    + declared.settings.laxities.map { "the identity '\(name)' \($0)" }
            })
    }

    /// Adds an identity of the configuration or changes it.
    mutating func declare(_ settings: NamedIdentity, _ source: IdentitySource, now: Int64) {
        let former = identities[settings.name]
        var kept = KeptIdentity(source, &files, now: now)
        if case .vault(let declaration) = source { begin(&kept, declaration, former?.kept, now: now) }
        // If the changed declaration can't be used, the former identity stays in force.
        if let former { kept.inherit(former.kept) }
        var declared = Declared(settings: settings, kept: kept)
        if let former { (declared.refreshes, declared.failedRefreshes) = (former.refreshes, former.failedRefreshes) }
        if case .vault = source {} else { declared.count() }
        identities[settings.name] = declared
        former?.kept.release(&files)
    }

    /// Sets the identity from a Vault to the best one that is known: the one in force, or the stored one. A keeper asks
    /// the Vault later.
    private func begin(
        _ kept: inout KeptIdentity, _ declaration: VaultIdentityDeclaration, _ former: KeptIdentity?, now: Int64
    ) {
        if let former, former.identity != nil, case .vault(let same) = former.source, same.digest == declaration.digest
        {
            return kept.resume(former)
        }
        // While no identity for the new declaration exists, the one for the former declaration stays in force.
        guard let stored = stored(declaration.name),
            stored.declaration == declaration.digest || former?.identity == nil
        else { return }
        _ = kept.deliver(.success(stored.identity), now: now)
    }

    mutating func remove(identity name: String) { identities.removeValue(forKey: name)?.kept.release(&files) }

    // MARK: CAs and revocation lists

    mutating func use(_ caFile: String) {
        files.use(caFile)
        readAuthorities(in: caFile)
    }

    /// Subtracts one from the number of rules that use a file of CAs or revocation lists. A file that no rules use is
    /// forgotten.
    mutating func release(_ path: String) {
        guard files.release(path) else { return }
        authorityFiles[path] = nil
        listFiles.forget(path)
    }

    private mutating func readAuthorities(in path: String) {
        let file = files[path]
        var present = authorityFiles[path] ?? AuthorityFile(version: 0)
        defer { authorityFiles[path] = present }
        guard let content = file.content, file.version != present.version else { return }
        present.version = file.version
        do {
            let certificates = try PEM.certificates(in: content.plainCopy())
            // Throws if there is no certificate, or one that can't be used for verifying peers.
            _ = try PeerRules(purpose: .server, authorities: certificates)
            (present.certificates, present.fault) = (certificates, nil)
        } catch {
            present.fault = "\(error)"
        }
    }

    /// The certificates of the CAs, in DER. If the source can't be used now, these are its last good certificates.
    /// Throws the reason if there are none.
    func authorities(of source: AuthoritySource) throws -> [[UInt8]] {
        switch source {
        case .file(let path):
            guard let certificates = authorityFiles[path]?.certificates else {
                throw fault(of: path) ?? fault(path, "it is not read yet")
            }
            return certificates
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

    /// The last revocation lists of a file that can be used.
    ///
    /// - Throws: If there were none yet: `ListFiles.Pending` while the first lists are being parsed, or the reason why
    ///   the lists can't be used.
    mutating func lists(in path: String) throws -> [RevocationList] {
        let content = try content(of: path)
        do {
            return try listFiles.lists(in: path, version: files[path].version, content)
        } catch let error as PKIError {
            throw fault(path, "\(error)")
        }
    }

    /// Whether a file's first revocation lists are being parsed.
    var isReadingLists: Bool { listFiles.isPending }

    /// Returns the requests to parse revocation lists that were made since the last call.
    mutating func takeListRequests() -> [ListFiles.Request] { listFiles.takeRequests() }

    /// Returns the content of a file as of the last successful reading.
    private func content(of path: String) throws -> SecretBytes {
        let file = files[path]
        guard let content = file.content else {
            throw fault(path, file.failure?.reason ?? "it is not read yet")
        }
        return content
    }

    /// Why a file can't be read now, or has no CAs or no revocation lists that can be used; nil if it can be used.
    func fault(of path: String) -> Fault? {
        let reason =
            files[path].failure?.reason ?? authorityFiles[path]?.fault ?? listFiles.fault(of: path).map { "\($0)" }
        return reason.map { fault(path, $0) }
    }

    private func fault(_ path: String, _ reason: String) -> Fault {
        Fault(place: "'\(files.place(of: path))'", reason: reason)
    }

    /// Why a file or an identity can't be used.
    struct Fault: Error, CustomStringConvertible {
        /// How messages name the file or the identity.
        let place: String
        let reason: String

        var description: String { "\(place): \(reason)" }
    }
}

/// Where the CAs for verifying peers come from.
enum AuthoritySource {
    /// A PEM file, by its path in the configuration.
    case file(String)
    /// The CAs that belong to the identity of this name.
    case identity(String)
}
