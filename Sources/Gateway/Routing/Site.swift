import ConfigModel
import PKI

/// A host as workers serve it: all that a request needs, put together once when the host changes. Immutable, shared by all
/// workers; on the way of a request they see it through a `SiteView`, which counts no references.
@safe
final class Site: Sendable, Named {
    // Sound to share: written by init alone, freed by deinit alone. The texts lie behind the facts, in one piece of memory.
    private nonisolated(unsafe) let facts: UnsafeMutablePointer<SiteFacts>

    /// What requests look at. Valid while the site is.
    var view: SiteView { unsafe SiteView(facts) }

    init(_ host: Host, upstreams: [UpstreamNumber]) {
        var (facts, texts) = unsafe (SiteFacts(host), [UInt8]())
        for text in SiteFacts.Text.allCases {
            texts += text.bytes(of: host, upstreams: upstreams)
            unsafe facts.ends[text.rawValue] = UInt32(texts.count)
        }
        let memory = unsafe UnsafeMutableRawPointer.allocate(
            byteCount: MemoryLayout<SiteFacts>.size + texts.count, alignment: MemoryLayout<SiteFacts>.alignment)
        unsafe self.facts = memory.initializeMemory(as: SiteFacts.self, to: facts)
        // Neither has a deinitializer.
        unsafe SiteFacts.texts(of: self.facts).initializeMemory(as: UInt8.self, from: texts, count: texts.count)
    }

    deinit { unsafe UnsafeMutableRawPointer(facts).deallocate() }

    /// The host's domain: its identity.
    var name: String { view.domain.text }

    func isNamed(_ name: Bytes) -> Bool { view.domain.equals(name) }

    /// The upstreams, by their number in the gateway.
    var upstreams: [UpstreamNumber] { (0..<view.upstreamCount).map(view.upstream) }
}

/// Which upstream, among all of the gateway.
typealias UpstreamNumber = UInt32

/// Plain values of a site, without any reference, and small, since there may be 100,000. The texts lie behind them.
@unsafe
struct SiteFacts {
    /// The texts of a site, in their order.
    enum Text: Int, CaseIterable {
        case names, certificateName, upstreams, binding, hsts, requestSet, requestStrip, responseSet, responseStrip
        case upgrades, respondBody
    }

    /// Where each text ends, counted from where the first begins.
    var ends = InlineArray<11, UInt32>(repeating: 0)
    /// 0 for no bound, the largest number for the gateway's.
    let bodyBytes: UInt64
    let connectMilliseconds: UInt32
    let readMilliseconds: UInt32
    let writeMilliseconds: UInt32
    let tunnelMilliseconds: UInt32
    let respondStatus: UInt16
    let balance: Host.Balance
    let isLeastTLS13: Bool
    let forcesHTTPS: Bool
    let preservesHost: Bool
    let ordersCertificate: Bool

    /// Where the texts of some facts begin: right behind them, since bytes need no alignment.
    static func texts(of facts: UnsafeMutablePointer<SiteFacts>) -> UnsafeMutableRawPointer {
        unsafe UnsafeMutableRawPointer(facts) + MemoryLayout<SiteFacts>.size
    }

    init(_ host: Host) {
        unsafe bodyBytes = host.bodyBytes.map(UInt64.init) ?? .max
        unsafe connectMilliseconds = UInt32(clamping: host.timeouts.connect.wholeMilliseconds)
        unsafe readMilliseconds = UInt32(clamping: host.timeouts.read.wholeMilliseconds)
        unsafe writeMilliseconds = UInt32(clamping: host.timeouts.write.wholeMilliseconds)
        unsafe tunnelMilliseconds = UInt32(clamping: host.timeouts.tunnel.wholeMilliseconds)
        unsafe respondStatus = UInt16(clamping: host.respond?.status ?? 0)
        unsafe balance = host.balance
        unsafe isLeastTLS13 = host.tlsMinVersion == .v1_3
        unsafe forcesHTTPS = host.forceHTTPS
        unsafe preservesHost = host.preserveHost
        unsafe ordersCertificate = host.sslMode == .letsencrypt && host.enabled
    }
}

extension SiteFacts.Text {
    /// The text of a host.
    fileprivate func bytes(of host: Host, upstreams: [UpstreamNumber]) -> [UInt8] {
        switch self {
        case .names: Self.list(host.names.map(\.text))
        case .certificateName: Array((host.certificateName ?? "").utf8)
        case .upstreams: upstreams.flatMap { number in unsafe withUnsafeBytes(of: number) { unsafe Array($0) } }
        // What TLS sessions of the host are bound to: its identity. Half a digest tells hosts apart.
        case .binding: Array(Digest.sha256(Array("site \(host.domain.text)".utf8)).prefix(16))
        case .hsts: host.hsts.map { $0.enabled ? Array($0.fieldLine.utf8) : [] } ?? []
        case .requestSet: host.headers.request.lines
        case .requestStrip: Self.list(host.headers.request.strippedNames)
        case .responseSet: host.headers.response.lines
        case .responseStrip: Self.list(host.headers.response.strippedNames)
        // Whatever the state says: one that an earlier version made may name others.
        case .upgrades: Self.list(host.upgrade.filter { !UpgradeProtocol.hidesRequests($0) })
        case .respondBody: Array((host.respond?.body ?? "").utf8)
        }
    }

    /// Texts, each before a zero byte.
    private static func list(_ texts: [String]) -> [UInt8] { texts.flatMap { Array($0.utf8) + [0] } }
}

extension HSTS {
    /// The header field with its line end.
    fileprivate var fieldLine: String {
        "Strict-Transport-Security: max-age=\(maxAge)\(includeSubdomains ? "; includeSubDomains" : "")"
            + "\(preload ? "; preload" : "")\r\n"
    }
}

extension HeaderRules.Changes {
    /// The fields to set, as lines.
    fileprivate var lines: [UInt8] { self.set.flatMap { Array("\($0.name): \($0.value)\r\n".utf8) } }

    /// The names that don't pass, in lower case: removed ones, and those that are set anew.
    fileprivate var strippedNames: [String] { (remove + self.set.map(\.name)).map { $0.lowercased() } }
}

extension Duration {
    /// In whole milliseconds.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
