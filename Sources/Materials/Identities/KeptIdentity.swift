import PKI
import PrivateFiles
import SystemPackage

/// An identity that is read again when its source changes. If the source can't be used, the last good identity stays in
/// force, and the source is tried again every second. Only one thread may use this type.
package struct KeptIdentity: Sendable {
    package let source: IdentitySource
    /// The last good identity; nil if there was none yet. It may have expired.
    package private(set) var identity: Identity?
    /// Why the source can't be used now; nil if it can.
    package private(set) var failure: MaterialFailure?

    private var readAgainAt: Int64 = .max
    /// When the source renews the identity, in seconds since 1970. Nil if an operator or a Vault replaces it.
    package var renewsAt: Int64? { readAgainAt == .max ? nil : readAgainAt }
    /// When the source was last read, in seconds since 1970. After a failure it is read once a second.
    private var readAt: Int64 = 0

    /// Reads an identity. `now` is in seconds since 1970. `variable` returns the value of an environment variable.
    ///
    /// The caller must call `release` when it no longer uses the identity.
    package init(
        _ source: IdentitySource, _ files: inout WatchedFiles, now: Int64,
        variable: (String) -> SecretBytes? = { SecretBytes(variable: $0) }
    ) {
        self.source = source
        source.paths.forEach { files.use($0) }
        // An identity from a Vault is delivered later. Until then it is missing, but that is not a failure.
        if case .vault = source { return }
        _ = read(files, now: now, variable)
    }

    /// Reads the identity again if its source has changed or if reading is due. Must be called every second.
    ///
    /// - Parameter changed: The result of `WatchedFiles.look`.
    /// - Returns: Whether identity or failure have changed.
    package mutating func look(_ changed: [String], _ files: WatchedFiles, now: Int64) -> Bool {
        switch source {
        // Environment variables don't change, and identities from Vaults are delivered.
        case .variables, .vault: return false
        case .files, .development: break
        }
        let isDue = (failure != nil || lacksFile(files)) && now != readAt || now >= readAgainAt
        guard isDue || changed.contains(where: { source.paths.contains($0) }) else { return false }
        return read(files, now: now) { _ in nil }
    }

    /// Whether a file of a development identity can't be read. `read` makes a missing file again. `files` does not
    /// report a file that was made and deleted again between two calls of its `look`.
    private func lacksFile(_ files: WatchedFiles) -> Bool {
        guard case .development = source else { return false }
        return source.paths.contains { files[$0].failure != nil }
    }

    /// Puts an identity from a Vault in force, or records why it could not be obtained.
    ///
    /// - Returns: Whether identity or failure have changed.
    package mutating func deliver(_ result: Result<Identity, IdentityFault>, now: Int64) -> Bool {
        accept(result.map { ($0, .max) }, now: now)
    }

    /// Copies identity and failure from a former value with the same source.
    package mutating func resume(_ former: KeptIdentity) { (identity, failure) = (former.identity, former.failure) }

    /// Copies the identity from the value for a former declaration with the same name, if this value has none yet.
    package mutating func inherit(_ former: KeptIdentity) { identity = identity ?? former.identity }

    /// Stops watching the source's files.
    package func release(_ files: inout WatchedFiles) { source.paths.forEach { files.release($0) } }

    /// Warnings for the operator about an identity in force. Each text continues a sentence whose subject is the
    /// identity's certificate.
    package func warnings(now: Int64) -> [String] {
        var warnings = identity?.warnings(now: now) ?? []
        if case .development(let directory, _, _) = source {
            warnings.append(
                "is only for development: anybody who can read '\(directory)' can make certificates that its peers trust"
            )
        }
        return warnings
    }

    private mutating func read(
        _ files: WatchedFiles, now: Int64, _ variable: (String) -> SecretBytes?
    ) -> Bool {
        readAt = now
        let result = Result { () throws(IdentityFault) in try source.read(files, now: now, variable: variable) }
        return accept(result, now: now)
    }

    private mutating func accept(
        _ result: Result<(Identity, readAgainAt: Int64), IdentityFault>, now: Int64
    ) -> Bool {
        switch result {
        case .success(let (present, next)):
            let isChanged = failure != nil || present.version != identity?.version
            (identity, failure, readAgainAt) = (present, nil, next)
            return isChanged
        case .failure(let fault):
            guard failure?.reason != fault.description else { return false }
            failure = MaterialFailure(fault.description, since: failure?.since ?? now)
            return true
        }
    }
}
