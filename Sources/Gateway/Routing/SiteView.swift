import ConfigModel
import PKI

/// A site as a request sees it. The view reads the site's memory through a pointer, so that no reference is counted.
/// The worker's table keeps the site alive as long as a connection or an exchange uses it.
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
    /// What a handshake for the site must keep to.
    var tlsPolicy: TLSPolicy { unsafe TLSPolicy(scope: facts.pointee.scope, leastVersion: leastVersion) }
    /// The Strict-Transport-Security field with its CRLF; empty when the host sends none.
    var hsts: Bytes { text(.hsts) }
    /// The header lines to add to requests.
    var requestSet: Bytes { text(.requestSet) }
    /// The header lines to add to responses.
    var responseSet: Bytes { text(.responseSet) }
    var connectMilliseconds: Int64 { unsafe Int64(facts.pointee.connectMilliseconds) }
    var readMilliseconds: Int64 { unsafe Int64(facts.pointee.readMilliseconds) }
    var writeMilliseconds: Int64 { unsafe Int64(facts.pointee.writeMilliseconds) }
    var tunnelMilliseconds: Int64 { unsafe Int64(facts.pointee.tunnelMilliseconds) }
    var upstreamCount: Int { text(.upstreams).count / MemoryLayout<UpstreamNumber>.size }

    /// The upstream at an index, 0 to `upstreamCount` - 1.
    func upstream(_ index: Int) -> UpstreamNumber {
        let numbers = text(.upstreams)
        let size = MemoryLayout<UpstreamNumber>.size
        let bytes = numbers[index * size..<(index + 1) * size]
        // The bytes are an `UpstreamNumber` that `Site` wrote; loadUnaligned needs no alignment.
        return unsafe UnsafeRawPointer(bytes.buffer.baseAddress.unsafelyUnwrapped).loadUnaligned(
            as: UpstreamNumber.self)
    }

    /// The most bytes of a request's body. 0: no limit; nil: the gateway's limit applies.
    var bodyBytes: UInt64? { unsafe facts.pointee.bodyBytes == .max ? nil : facts.pointee.bodyBytes }
    /// The name of the certificate that the host uses; empty if none is set.
    var certificateName: Bytes { text(.certificateName) }
    /// Whether the gateway orders the certificate when a handshake needs it and the state has none.
    var ordersCertificate: Bool { unsafe facts.pointee.ordersCertificate }
    /// The host's domain: the first of the site's names, which identifies the host.
    var domain: Bytes {
        names.first
    }

    var names: NameList { NameList(text(.names)) }

    /// Whether the site has this name (`from` is 0), or the wildcard above it (`from` is the offset of the parent's
    /// dot).
    func has(_ key: HostKey, from start: Int) -> Bool {
        names.contains(key, from: start)
    }

    /// The names of request fields that are not forwarded.
    var requestStrip: NameList { NameList(text(.requestStrip)) }

    /// The names of response fields that are not forwarded.
    var responseStrip: NameList { NameList(text(.responseStrip)) }

    /// Whether clients may switch to this protocol (RFC 9110 section 7.8).
    func passesUpgrade(to name: Bytes) -> Bool {
        name.equalsIgnoringCase("websocket") || NameList(text(.upgrades)).contains(name)
    }

    private func text(_ text: SiteFacts.Text) -> Bytes {
        let start = unsafe text.rawValue == 0 ? 0 : Int(facts.pointee.ends[text.rawValue - 1])
        let end = unsafe Int(facts.pointee.ends[text.rawValue])
        // `Site` wrote the texts at this address.
        let texts = unsafe SiteFacts.texts(of: facts).assumingMemoryBound(to: UInt8.self)
        return unsafe Bytes(texts + start, count: end - start)
    }
}

extension Bytes {
    func equalsIgnoringCase(_ text: StaticString) -> Bool { equalsIgnoringCase(Bytes(text)) }

    /// Whether both texts are equal, ignoring the case of ASCII letters.
    func equalsIgnoringCase(_ other: Bytes) -> Bool {
        guard count == other.count else { return false }
        for index in 0..<count {
            let (byte, another) = (self[index], other[index])
            // Nearly always both bytes are identical, so they are compared first.
            if byte != another, byte.lowercased != another.lowercased { return false }
        }
        return true
    }
}

extension UInt8 {
    /// An ASCII letter in lower case; any other byte unchanged.
    fileprivate var lowercased: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }
}
