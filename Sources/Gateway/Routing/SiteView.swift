import ConfigModel
import PKI

/// A site as a request sees it: values and texts by address, no reference counted. The worker's table keeps the site for as
/// long as a connection or an exchange uses it.
@safe
struct SiteView {
    private let facts: UnsafeMutablePointer<SiteFacts>

    @unsafe
    init(_ facts: UnsafeMutablePointer<SiteFacts>) { unsafe self.facts = facts }

    /// The status of a fixed answer; 0 when upstreams answer.
    var respondStatus: Int { unsafe Int(facts.pointee.respondStatus) }
    var respondBody: Bytes { text(.respondBody) }
    var forcesHTTPS: Bool { unsafe facts.pointee.forcesHTTPS }
    var preservesHost: Bool { unsafe facts.pointee.preservesHost }
    var balance: Host.Balance { unsafe facts.pointee.balance }
    var leastVersion: TLSConnection.Version { unsafe facts.pointee.isLeastTLS13 ? .v1_3 : .v1_2 }
    /// What TLS sessions are bound to.
    var binding: Bytes { text(.binding) }
    /// The Strict-Transport-Security line; empty for none.
    var hsts: Bytes { text(.hsts) }
    /// Lines to add to requests.
    var requestSet: Bytes { text(.requestSet) }
    /// Lines to add to responses.
    var responseSet: Bytes { text(.responseSet) }
    var connectMilliseconds: Int64 { unsafe Int64(facts.pointee.connectMilliseconds) }
    var readMilliseconds: Int64 { unsafe Int64(facts.pointee.readMilliseconds) }
    var writeMilliseconds: Int64 { unsafe Int64(facts.pointee.writeMilliseconds) }
    var tunnelMilliseconds: Int64 { unsafe Int64(facts.pointee.tunnelMilliseconds) }
    /// How many upstreams it has.
    var upstreamCount: Int { text(.upstreams).count / MemoryLayout<UpstreamNumber>.size }

    /// The number of one of its upstreams.
    func upstream(_ index: Int) -> UpstreamNumber {
        let numbers = text(.upstreams)
        let size = MemoryLayout<UpstreamNumber>.size
        let bytes = numbers[index * size..<(index + 1) * size]
        // As many bytes as a number has, laid by `Site`; they need no alignment.
        return unsafe UnsafeRawPointer(bytes.buffer.baseAddress.unsafelyUnwrapped).loadUnaligned(
            as: UpstreamNumber.self)
    }

    /// The most bytes of a request's body; 0 for no bound, nil for the gateway's.
    var bodyBytes: UInt64? { unsafe facts.pointee.bodyBytes == .max ? nil : facts.pointee.bodyBytes }
    /// The name of the certificate that it is bound to; empty for none.
    var certificateName: Bytes { text(.certificateName) }
    /// Whether that certificate is ordered when a handshake asks for it and it is not there.
    var ordersCertificate: Bool { unsafe facts.pointee.ordersCertificate }
    /// The first of its names.
    var domain: Bytes {
        names.first
    }

    /// All its names.
    var names: NameList { NameList(text(.names)) }

    /// Whether a name (or the wildcard above it) is one of this site's.
    func has(_ key: HostKey, from start: Int) -> Bool {
        names.contains(key, from: start)
    }

    /// The fields of requests that are not passed on.
    var requestStrip: NameList { NameList(text(.requestStrip)) }

    /// The fields of responses that are not passed on.
    var responseStrip: NameList { NameList(text(.responseStrip)) }

    /// Whether clients may change to a protocol (RFC 9110 section 7.8).
    func passesUpgrade(to name: Bytes) -> Bool {
        name.equalsIgnoringCase("websocket") || NameList(text(.upgrades)).contains(name)
    }

    private func text(_ text: SiteFacts.Text) -> Bytes {
        let start = unsafe text.rawValue == 0 ? 0 : Int(facts.pointee.ends[text.rawValue - 1])
        let end = unsafe Int(facts.pointee.ends[text.rawValue])
        // `Site` has laid the texts there.
        let texts = unsafe SiteFacts.texts(of: facts).assumingMemoryBound(to: UInt8.self)
        return unsafe Bytes(texts + start, count: end - start)
    }
}

extension Bytes {
    func equalsIgnoringCase(_ text: StaticString) -> Bool { equalsIgnoringCase(Bytes(text)) }

    /// Whether both are the same text, whatever case their ASCII letters have.
    func equalsIgnoringCase(_ other: Bytes) -> Bool {
        guard count == other.count else { return false }
        for index in 0..<count {
            let (byte, another) = (self[index], other[index])
            // Nearly always they are the very same.
            if byte != another, byte.lowercased != another.lowercased { return false }
        }
        return true
    }
}

extension UInt8 {
    /// The letter in lower case; other bytes as they are.
    fileprivate var lowercased: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }
}
