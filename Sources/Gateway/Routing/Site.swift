import ConfigModel
import PKI

/// A host as workers serve it: all that a request needs, put together once when the host changes. Immutable, shared by all
/// workers; on the way of a request they see it through a `SiteView`, which counts no references.
@safe
final class Site: Sendable {
    /// The host's domain: its identity.
    let name: String
    /// All its names in lower case.
    let names: [String]
    /// The certificate that it is bound to, by name.
    let certificateName: String?
    /// Whether that certificate is ordered when a handshake asks for it and it is not there.
    let ordersCertificate: Bool
    /// The upstreams, by their number in the gateway.
    let upstreams: [UpstreamNumber]

    // Sound to share: written by init alone, freed by deinit alone.
    private nonisolated(unsafe) let facts: UnsafeMutablePointer<SiteFacts>
    private nonisolated(unsafe) let memory: UnsafeMutableBufferPointer<UInt8>

    /// What requests look at. Valid while the site is.
    var view: SiteView { unsafe SiteView(facts) }

    init(_ host: Host, upstreams: [UpstreamNumber]) {
        name = host.domain.text
        names = host.names.map(\.text)
        certificateName = host.sslMode == .letsencrypt ? host.domain.text : host.certificate
        ordersCertificate = host.sslMode == .letsencrypt && host.enabled
        self.upstreams = upstreams
        var builder = SiteFacts.Builder()
        var facts = unsafe builder.facts(of: host, names: names)
        unsafe facts.upstreams = builder.put(
            upstreams.flatMap { number in unsafe withUnsafeBytes(of: number) { unsafe Array($0) } })
        unsafe memory = .allocate(capacity: max(1, builder.bytes.count))
        _ = unsafe memory.initialize(from: builder.bytes)
        unsafe facts.memory = UnsafePointer(memory.baseAddress.unsafelyUnwrapped)
        unsafe self.facts = .allocate(capacity: 1)
        unsafe self.facts.initialize(to: facts)
    }

    deinit {
        unsafe facts.deallocate()
        unsafe memory.deallocate()
    }
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
    var nameCount = 0
    var binding = Stretch()
    var hsts = Stretch()
    var requestSet = Stretch()
    var requestStrip = Stretch()
    var responseSet = Stretch()
    var responseStrip = Stretch()
    var respondBody = Stretch()
    var respondStatus = 0
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
        mutating func facts(of host: Host, names: [String]) -> SiteFacts {
            var facts = unsafe SiteFacts()
            unsafe facts.names = put(list: names)
            unsafe facts.nameCount = names.count
            // What TLS sessions of the host are bound to: its identity.
            unsafe facts.binding = put(Digest.sha256(Array("site \(host.domain.text)".utf8)))
            if let hsts = host.hsts, hsts.enabled { unsafe facts.hsts = put(hsts.fieldLine.utf8) }
            unsafe facts.requestSet = put(host.headers.request.lines)
            unsafe facts.requestStrip = put(list: host.headers.request.strippedNames)
            unsafe facts.responseSet = put(host.headers.response.lines)
            unsafe facts.responseStrip = put(list: host.headers.response.strippedNames)
            if let respond = host.respond {
                unsafe facts.respondStatus = respond.status
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
