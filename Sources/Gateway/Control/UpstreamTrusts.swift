import PKI
import SystemPackage

/// Whom upstreams trust, read once for all that trust the same, and kept as long as one of them is there. Confined to the
/// control side.
final class UpstreamTrusts {
    private struct Kept {
        weak var context: TLSClientContext?
    }

    private var kept: [TLSClientContext.Trust: Kept] = [:]

    /// Trust in the CAs of a file, or in the system's where there is none. A CAs' file that can't be used is known before any
    /// connection needs it.
    func trust(in caFile: String?, _ directory: FilePath) -> UpstreamTrust {
        let path = caFile.map { directory.pushing(FilePath($0)).string }
        do {
            return .known(try context(path.map { .authorities(try SmallFile.read($0)) } ?? .system))
        } catch {
            return .unusable("the CAs in \(path.map { "'\($0)'" } ?? "the system") can't be used: \(error)")
        }
    }

    private func context(_ trust: TLSClientContext.Trust) throws(PKIError) -> TLSClientContext {
        if let context = kept[trust]?.context { return context }
        kept = kept.filter { $0.value.context != nil }
        let context = try TLSClientContext(trust: trust)
        kept[trust] = Kept(context: context)
        return context
    }
}
