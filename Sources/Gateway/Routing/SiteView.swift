import ConfigModel
import HTTP1
import PKI

/// The values of a site that a request needs. A view reads the site's memory through a pointer, without reference
/// counting. This is safe: the worker's table keeps the site as long as a connection or an exchange uses it.
@safe
struct SiteView {
    private let facts: UnsafeMutablePointer<SiteFacts>

    @unsafe
    init(_ facts: UnsafeMutablePointer<SiteFacts>) { unsafe self.facts = facts }

    /// The status of the host's fixed answer. 0 if upstreams answer.
    var respondStatus: Int { unsafe Int(facts.pointee.respondStatus) }
    var respondBody: Bytes { text(.respondBody) }
    var forcesHTTPS: Bool { unsafe facts.pointee.forcesHTTPS }
    var preservesHost: Bool { unsafe facts.pointee.preservesHost }
    var upstreamProtocol: UpstreamProtocolUse { unsafe facts.pointee.upstreamProtocol }
    var balance: Host.Balance { unsafe facts.pointee.balance }
    var leastVersion: TLSConnection.Version { unsafe facts.pointee.isLeastTLS13 ? .v1_3 : .v1_2 }
    /// Whether clients may speak HTTP/2. Nil means that the gateway's setting applies.
    var offersHTTP2: Bool? { unsafe facts.pointee.offersHTTP2 }
    /// Only connections with the same scope share TLS sessions, so a session of one site can't be resumed at another.
    var tlsScope: TLSScope { unsafe facts.pointee.scope }
    var clientCertificates: ClientCertificateRule { unsafe facts.pointee.clientCertificates }
    var asksForCertificates: Bool { clientCertificates.mode != .none }
    /// The Strict-Transport-Security field with its CRLF; empty when the host sends none.
    var hsts: Bytes { text(.hsts) }
    /// The header lines that the gateway adds to requests.
    var requestSet: Bytes { text(.requestSet) }
    /// The header lines that the gateway adds to responses.
    var responseSet: Bytes { text(.responseSet) }
    var connectMilliseconds: Int64 { unsafe Int64(facts.pointee.connectMilliseconds) }
    var readMilliseconds: Int64 { unsafe Int64(facts.pointee.readMilliseconds) }
    var writeMilliseconds: Int64 { unsafe Int64(facts.pointee.writeMilliseconds) }
    var tunnelMilliseconds: Int64 { unsafe Int64(facts.pointee.tunnelMilliseconds) }
    var upstreamCount: Int { text(.upstreams).count / MemoryLayout<UpstreamNumber>.size }

    /// The index must be below `upstreamCount`.
    func upstream(_ index: Int) -> UpstreamNumber {
        let numbers = text(.upstreams)
        let size = MemoryLayout<UpstreamNumber>.size
        let bytes = numbers[index * size..<(index + 1) * size]
        // This is safe, since `Site` wrote an `UpstreamNumber` at this place, and `loadUnaligned` works at any address.
        return unsafe UnsafeRawPointer(bytes.buffer.baseAddress.unsafelyUnwrapped).loadUnaligned(
            as: UpstreamNumber.self)
    }

    /// The largest body of a request, in bytes. 0 stands for no limit, and nil for the gateway's own limit.
    var bodyBytes: UInt64? { unsafe facts.pointee.bodyBytes == .max ? nil : facts.pointee.bodyBytes }
    /// The name of the host's certificate in the state. Empty if the host has none.
    var certificateName: Bytes { text(.certificateName) }
    /// Whether the gateway orders the host's certificate if a handshake needs it and the state does not have it.
    var ordersCertificate: Bool { unsafe facts.pointee.ordersCertificate }
    /// The first of the site's names, which identifies the host.
    var domain: Bytes {
        names.first
    }

    var names: NameList { NameList(text(.names)) }

    /// Whether the site has the whole name (`start` is 0), or the wildcard `*` plus the bytes of the name from `start`
    /// (`start` is the offset of the first dot).
    func has(_ key: HostKey, suffixFrom start: Int) -> Bool {
        names.contains(key, suffixFrom: start)
    }

    /// The names of request fields that the gateway does not forward.
    var requestStrip: NameList { NameList(text(.requestStrip)) }

    /// The names of response fields that the gateway does not forward.
    var responseStrip: NameList { NameList(text(.responseStrip)) }

    /// Whether a client of this host may switch to the protocol (RFC 9110 section 7.8). WebSocket is always allowed.
    func passesUpgrade(to name: Bytes) -> Bool {
        name.equalsIgnoringCase("websocket") || NameList(text(.upgrades)).contains(name)
    }

    private func text(_ text: SiteFacts.Text) -> Bytes {
        let start = unsafe text.rawValue == 0 ? 0 : Int(facts.pointee.ends[text.rawValue - 1])
        let end = unsafe Int(facts.pointee.ends[text.rawValue])
        // This is safe, since `Site` wrote the texts at this address.
        let texts = unsafe SiteFacts.texts(of: facts).assumingMemoryBound(to: UInt8.self)
        return unsafe Bytes(texts + start, count: end - start)
    }
}

extension Bytes {
    func equalsIgnoringCase(_ text: StaticString) -> Bool { equalsIgnoringCase(Bytes(text)) }

    func equalsIgnoringCase(_ other: Bytes) -> Bool {
        guard count == other.count else { return false }
        for index in 0..<count {
            let (byte, another) = (self[index], other[index])
            // Nearly always the two bytes are identical, so this cheap comparison comes first.
            if byte != another, byte.lowercased != another.lowercased { return false }
        }
        return true
    }
}
