import ConfigModel
import PKI

/// A host in the form that workers serve. All values that a request needs are computed once, when the host changes. All
/// workers share a site, which never changes. Requests read a site through `SiteView`, which needs no reference
/// counting.
@safe
final class Site: Sendable, Named {
    // This is safe to share between threads: only `init` writes the memory, and only `deinit` frees it. The memory
    // starts with the facts; the texts follow.
    private nonisolated(unsafe) let facts: UnsafeMutablePointer<SiteFacts>

    /// The view is valid as long as the site exists.
    var view: SiteView { unsafe SiteView(facts) }

    init(_ host: Host, upstreams: [UpstreamNumber], clientCertificates: ClientCertificateRule = .init()) {
        var (facts, texts) = (SiteFacts(host, clientCertificates), [UInt8]())
        for text in SiteFacts.Text.allCases {
            texts += text.bytes(of: host, upstreams: upstreams)
            facts.ends[text.rawValue] = UInt32(texts.count)
        }
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: MemoryLayout<SiteFacts>.size + texts.count, alignment: MemoryLayout<SiteFacts>.alignment)
        unsafe self.facts = memory.initializeMemory(as: SiteFacts.self, to: facts)
        // This is safe, since the memory has room for the facts and the texts. Neither needs a deinitializer.
        unsafe SiteFacts.texts(of: self.facts).initializeMemory(as: UInt8.self, from: texts, count: texts.count)
    }

    deinit { unsafe UnsafeMutableRawPointer(facts).deallocate() }

    /// The host's first domain, which identifies the host.
    var name: String { view.domain.text }

    func isNamed(_ name: Bytes) -> Bool { view.domain.equals(name) }

    var upstreams: [UpstreamNumber] { (0..<view.upstreamCount).map(view.upstream) }
}

/// The number of an upstream, which is the same in all workers.
typealias UpstreamNumber = UInt32

/// The values of a site that have a fixed size and contain no references. There may be 100,000 sites, so the values are
/// kept small. The site's texts follow in the same memory.
struct SiteFacts {
    /// The texts of a site, in the order in which they are stored.
    enum Text: Int, CaseIterable {
        case names, certificateName, upstreams, hsts, requestSet, requestStrip, responseSet, responseStrip
        case upgrades, respondBody
    }

    /// The end of each text, as an offset from the start of the first text.
    var ends = InlineArray<10, UInt32>(repeating: 0)
    /// Only connections with the same scope share TLS sessions, so a session of one host can't be resumed at another.
    let scope: TLSScope
    /// The largest body of a request, in bytes. 0 means no limit. The largest UInt64 means that the gateway's limit
    /// applies.
    let bodyBytes: UInt64
    let connectMilliseconds: UInt32
    let readMilliseconds: UInt32
    let writeMilliseconds: UInt32
    let tunnelMilliseconds: UInt32
    let respondStatus: UInt16
    let balance: Host.Balance
    let isLeastTLS13: Bool
    /// Whether clients may speak HTTP/2. Nil means that the gateway's setting applies.
    let offersHTTP2: Bool?
    let clientCertificates: ClientCertificateRule
    let upstreamProtocol: UpstreamProtocolUse
    let forcesHTTPS: Bool
    let preservesHost: Bool
    let ordersCertificate: Bool

    /// The texts follow directly after the facts, since bytes need no alignment.
    @unsafe static func texts(of facts: UnsafeMutablePointer<SiteFacts>) -> UnsafeMutableRawPointer {
        unsafe UnsafeMutableRawPointer(facts) + MemoryLayout<SiteFacts>.size
    }

    init(_ host: Host, _ clientCertificates: ClientCertificateRule) {
        self.clientCertificates = clientCertificates
        scope = TLSScope("site \(host.domain.text)")
        bodyBytes = host.bodyBytes.map(UInt64.init) ?? .max
        connectMilliseconds = UInt32(clamping: host.timeouts.connect.wholeMilliseconds)
        readMilliseconds = UInt32(clamping: host.timeouts.read.wholeMilliseconds)
        writeMilliseconds = UInt32(clamping: host.timeouts.write.wholeMilliseconds)
        tunnelMilliseconds = UInt32(clamping: host.timeouts.tunnel.wholeMilliseconds)
        respondStatus = UInt16(clamping: host.respond?.status ?? 0)
        balance = host.balance
        isLeastTLS13 = host.tlsMinVersion == .v1_3
        offersHTTP2 = host.protocols.map { $0.contains(.http2) }
        upstreamProtocol = UpstreamProtocolUse(host)
        forcesHTTPS = host.forceHTTPS
        preservesHost = host.preserveHost
        ordersCertificate = host.sslMode == .letsencrypt && host.enabled
    }
}

/// Which requests the upstreams of a host get by HTTP/2.
enum UpstreamProtocolUse: UInt8 {
    case http1
    /// Calls of gRPC, which needs HTTP/2.
    case http2ForCalls
    /// All but upgrades.
    case http2

    init(_ host: Host) {
        let areTLS = host.upstreams.allSatisfy(\.isTLS)
        self =
            switch host.upstreamProtocol {
            case .http1: .http1
            case .http2: .http2
            case .auto: host.upstreams.contains(where: \.isHTTP2) ? .http2 : areTLS ? .http2ForCalls : .http1
            }
    }
}

extension SiteFacts.Text {
    fileprivate func bytes(of host: Host, upstreams: [UpstreamNumber]) -> [UInt8] {
        switch self {
        case .names: Self.list(host.names.map(\.text))
        case .certificateName: Array((host.certificateName ?? "").utf8)
        case .upstreams: upstreams.flatMap { number in unsafe withUnsafeBytes(of: number) { unsafe Array($0) } }
        case .hsts: host.hsts.map { $0.enabled ? Array($0.fieldLine.utf8) : [] } ?? []
        case .requestSet: host.headers.request.lines
        case .requestStrip: Self.list(host.headers.request.strippedNames)
        case .responseSet: host.headers.response.lines
        case .responseStrip: Self.list(host.headers.response.strippedNames)
        // Some protocols, such as h2c, would carry requests past the gateway's checks. So these protocols are left out.
        // aegis-apply refuses them now, but an earlier version may have stored them.
        case .upgrades: Self.list(host.upgrade.filter { !UpgradeProtocol.hidesRequests($0) })
        case .respondBody: Array((host.respond?.body ?? "").utf8)
        }
    }

    /// Encodes a `NameList`: each text, then a zero byte.
    private static func list(_ texts: [String]) -> [UInt8] { texts.flatMap { Array($0.utf8) + [0] } }
}

extension HSTS {
    /// The header line of Strict-Transport-Security, with its CRLF.
    fileprivate var fieldLine: String {
        "Strict-Transport-Security: max-age=\(maxAge)\(includeSubdomains ? "; includeSubDomains" : "")"
            + "\(preload ? "; preload" : "")\r\n"
    }
}

extension HeaderRules.Changes {
    /// The header lines that the gateway adds, each with its CRLF.
    fileprivate var lines: [UInt8] { self.set.flatMap { Array("\($0.name): \($0.value)\r\n".utf8) } }

    /// The names of fields that are not forwarded, in lower case. A field that the gateway sets itself is included;
    /// otherwise there would be two such fields.
    fileprivate var strippedNames: [String] { (remove + self.set.map(\.name)).map { $0.lowercased() } }
}

extension Duration {
    /// The duration is rounded down.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
