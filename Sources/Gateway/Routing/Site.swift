import ConfigModel
import PKI

/// A host as workers serve it: all that a request needs, put together once when the host changes. Immutable, shared by all
/// workers; on the way of a request they see it through a `SiteView`, which counts no references.
@safe
final class Site: Sendable {
    /// The host's domain: its identity.
    let name: String
    /// The certificate that it is bound to, by name.
    let certificateName: String?
    /// Whether that certificate is ordered when a handshake asks for it and it is not there.
    let ordersCertificate: Bool

    // Sound to share: written by init alone, freed by deinit alone. The texts lie behind the facts, in one piece of memory.
    private nonisolated(unsafe) let facts: UnsafeMutablePointer<SiteFacts>

    /// What requests look at. Valid while the site is.
    var view: SiteView { unsafe SiteView(facts) }

    init(_ host: Host, upstreams: [UpstreamNumber]) {
        name = host.domain.text
        certificateName = host.sslMode == .letsencrypt ? host.domain.text : host.certificate
        ordersCertificate = host.sslMode == .letsencrypt && host.enabled
        var builder = SiteFacts.Builder()
        var facts = unsafe builder.facts(of: host)
        unsafe facts.upstreams = builder.put(
            upstreams.flatMap { number in unsafe withUnsafeBytes(of: number) { unsafe Array($0) } })
        let size = unsafe MemoryLayout<SiteFacts>.size
        // Bytes need no alignment, so the texts begin where the facts end. Neither has a deinitializer.
        let memory = unsafe UnsafeMutableRawPointer.allocate(
            byteCount: size + builder.bytes.count, alignment: MemoryLayout<SiteFacts>.alignment)
        let texts = unsafe (memory + size).initializeMemory(
            as: UInt8.self, from: builder.bytes, count: builder.bytes.count)
        unsafe facts.memory = UnsafePointer(texts)
        unsafe self.facts = memory.initializeMemory(as: SiteFacts.self, to: facts)
    }

    deinit { unsafe UnsafeMutableRawPointer(facts).deallocate() }

    /// The upstreams, by their number in the gateway.
    var upstreams: [UpstreamNumber] { (0..<view.upstreamCount).map(view.upstream) }
}

/// Which upstream, among all of the gateway.
typealias UpstreamNumber = UInt32

/// Plain values of a site, without any reference; texts lie in `memory`.
@unsafe
struct SiteFacts {
    /// A stretch of `memory`.
    struct Stretch {
        var start: UInt32 = 0
        var count: UInt32 = 0
    }

    var memory: UnsafePointer<UInt8>? = nil
    var names = Stretch()
    var upstreams = Stretch()
    var binding = Stretch()
    var hsts = Stretch()
    var requestSet = Stretch()
    var requestStrip = Stretch()
    var responseSet = Stretch()
    var responseStrip = Stretch()
    var respondBody = Stretch()
    var respondStatus: Int32 = 0
    var isLeastTLS13 = false
    var forcesHTTPS = false
    var preservesHost = true
    var balance = Host.Balance.roundRobin
    var connectMilliseconds: Int64 = 0
    var readMilliseconds: Int64 = 0
    var writeMilliseconds: Int64 = 0
    /// 0 for no bound; nil for the gateway's.
    var bodyBytes: UInt64?

    /// Lays texts one after the other.
    struct Builder {
        var bytes: [UInt8] = []

        mutating func put(_ content: some Sequence<UInt8>) -> Stretch {
            let start = bytes.count
            bytes.append(contentsOf: content)
            return Stretch(start: UInt32(start), count: UInt32(bytes.count - start))
        }

        /// Texts, each before a zero byte.
        mutating func put(list: [String]) -> Stretch { put(list.flatMap { Array($0.utf8) + [0] }) }

        @unsafe
        mutating func facts(of host: Host) -> SiteFacts {
            var facts = unsafe SiteFacts()
            unsafe facts.names = put(list: host.names.map(\.text))
            // What TLS sessions of the host are bound to: its identity.
            unsafe facts.binding = put(Digest.sha256(Array("site \(host.domain.text)".utf8)))
            if let hsts = host.hsts, hsts.enabled { unsafe facts.hsts = put(hsts.fieldLine.utf8) }
            unsafe facts.requestSet = put(host.headers.request.lines)
            unsafe facts.requestStrip = put(list: host.headers.request.strippedNames)
            unsafe facts.responseSet = put(host.headers.response.lines)
            unsafe facts.responseStrip = put(list: host.headers.response.strippedNames)
            if let respond = host.respond {
                unsafe facts.respondStatus = Int32(respond.status)
                unsafe facts.respondBody = put(respond.body.utf8)
            }
            unsafe facts.isLeastTLS13 = host.tlsMinVersion == .v1_3
            unsafe facts.forcesHTTPS = host.forceHTTPS
            unsafe facts.preservesHost = host.preserveHost
            unsafe facts.balance = host.balance
            unsafe facts.connectMilliseconds = host.timeouts.connect.wholeMilliseconds
            unsafe facts.readMilliseconds = host.timeouts.read.wholeMilliseconds
            unsafe facts.writeMilliseconds = host.timeouts.write.wholeMilliseconds
            unsafe facts.bodyBytes = host.bodyBytes.map(UInt64.init)
            return unsafe facts
        }
    }
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
