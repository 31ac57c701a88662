import PKI
import PrivateFiles
import SystemPackage

/// An identity that follows its source. What can't be used leaves the last good one in force, and is tried again each
/// second. Confined to one thread.
package struct KeptIdentity: Sendable {
    package let source: IdentitySource
    /// The last good identity; nil while there was none. It may have expired since.
    package private(set) var identity: Identity?
    /// Why the source can't be used now; nil when it can.
    package private(set) var failure: MaterialFailure?

    private var readAgainAt: Int64 = .max
    /// When the source makes another one, in seconds since 1970; nil for a source that somebody else renews.
    package var renewsAt: Int64? { readAgainAt == .max ? nil : readAgainAt }
    /// When the source was last read, in seconds since 1970. A source that can't be used is read once a second.
    private var readAt: Int64 = 0

    /// Reads an identity. `now` is in seconds since 1970. `variable` looks a variable of the environment up.
    ///
    /// Call `release` when the identity is not used any more.
    package init(
        _ source: IdentitySource, _ files: inout WatchedFiles, now: Int64,
        variable: (String) -> SecretBytes? = { SecretBytes(variable: $0) }
    ) {
        self.source = source
        source.paths.forEach { files.use($0) }
        // What comes from a Vault is delivered. Until then it is missing, but nothing has failed.
        if case .vault = source { return }
        _ = read(files, now: now, variable)
    }

    /// Follows the source; to be called each second.
    ///
    /// - Parameter changed: What `WatchedFiles.look` has returned.
    /// - Returns: Whether identity or failure have changed.
    package mutating func look(_ changed: [String], _ files: WatchedFiles, now: Int64) -> Bool {
        switch source {
        // Variables don't change.
        case .variables, .vault: return false
        case .files, .development: break
        }
        let isDue = failure != nil && now != readAt || now >= readAgainAt
        guard isDue || changed.contains(where: { source.paths.contains($0) }) else { return false }
        return read(files, now: now) { _ in nil }
    }

    /// Takes what was obtained for a source that is not read here, or the reason why nothing was.
    ///
    /// - Returns: Whether identity or failure have changed.
    package mutating func deliver(_ result: Result<Identity, IdentityFault>, now: Int64) -> Bool {
        accept(result.map { ($0, .max) }, now: now)
    }

    /// Goes on where another one of the same source ended.
    package mutating func resume(_ former: KeptIdentity) { (identity, failure) = (former.identity, former.failure) }

    /// Goes on with the identity of a former declaration of the same name, as long as this one's source can't be used.
    package mutating func inherit(_ former: KeptIdentity) { identity = identity ?? former.identity }

    /// Ends the use of its files.
    package func release(_ files: inout WatchedFiles) { source.paths.forEach { files.release($0) } }

    /// What operators should know of an identity in force; each text continues a sentence whose subject is its
    /// certificate.
    package func warnings(now: Int64) -> [String] {
        var warnings = identity?.warnings(now: now) ?? []
        if case .development(let directory, _, _) = source {
            warnings.append(
                "is for development alone: whoever reads '\(directory)' can make certificates that its peers trust")
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
