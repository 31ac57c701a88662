import PKI
import SystemPackage

/// The TLS contexts for upstreams. Upstreams with the same CAs share a context, which exists as long as an upstream
/// uses it. Only the control side's thread uses this class.
final class UpstreamTrusts {
    private struct Kept {
        weak var context: TLSClientContext?
    }

    private var kept: [TLSClientContext.Trust: Kept] = [:]

    /// Reads the CAs in `caFile`; nil stands for the system's CAs. A missing or faulty file is reported here, before a
    /// connection needs the CAs.
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
