import COpenSSL
import Synchronization

/// A CA's complete list of revoked certificates (CRL, RFC 5280 section 5). The serial numbers are read once into a set,
/// so a lookup takes the same time for any length.
///
/// The reason of a revocation does not matter: a certificate on hold is revoked too. A list with an issuing
/// distribution point covers only a part of the CA's certificates. Delta lists, indirect lists, lists for only some
/// reasons, and lists with unknown critical extensions are rejected. If Aegis ignored their special rules, it would
/// accept revoked certificates.
@safe
package final class RevocationList: Sendable {
    /// The largest list in DER, 16 MiB. It has about 400,000 entries.
    package static let maximumBytes = 16 << 20
    /// A list with more entries is rejected.
    package static let maximumEntries = 500_000
    /// The maximum number of lists in a file or in a set of rules.
    package static let maximumLists = 100

    /// The issuer's name for people to read, escaped and cut.
    package let issuer: String
    /// The time of issue, in seconds since 1970.
    package let thisUpdate: Int64
    /// The time by which the CA will issue the next list, in seconds since 1970. If the list does not have it, the
    /// value is nil and the list is never overdue.
    package let nextUpdate: Int64?
    /// The number of revoked certificates.
    package var count: Int { serials.count }

    /// The issuer's name as an `X509_NAME`. Sharing the pointer between threads is safe, since the name does not change
    /// after init.
    nonisolated(unsafe) let issuerName: OpaquePointer
    /// The identifier of the key that signed the list. Nil if the list does not have it.
    let authorityKey: [UInt8]?
    /// The part of the CA's certificates that the list covers.
    let scope: RevocationScope
    /// The list's number (RFC 5280 section 5.2.3), big-endian and without zeros in front. It grows with each list of a
    /// CA and scope. Empty if the list does not have it.
    let number: [UInt8]
    /// The SHA-256 of the list's DER.
    let digest: [UInt8]
    private let serials: Set<SerialNumber>
    /// The list in DER. `isSigned(by:)` needs it to verify the signature.
    private let der: [UInt8]
    /// The range in `der` that the signature covers.
    private let signed: Range<Int>
    /// The results of earlier signature checks, by the SHA-256 of the CA's public key.
    private let verdicts = Mutex<[[UInt8]: Bool]>([:])
    /// The maximum number of results that are kept. No CA has so many keys under one name.
    private static let maximumVerdicts = 32

    /// Reads a list in DER. The signature is not verified here, but in `isSigned(by:)`.
    package init(der: [UInt8]) throws(PKIError) {
        guard der.count <= Self.maximumBytes else { throw .tooLarge("revocation list", limit: "16 MiB") }
        let decoded = unsafe OpenSSL.decode(der.span, free: X509_CRL_free) { position, count in
            unsafe d2i_X509_CRL(nil, position, count)
        }
        ERR_clear_error()
        guard let list = unsafe decoded else { throw Self.malformed("it is no list of X.509 in DER") }
        defer { unsafe X509_CRL_free(list) }
        signed = try Self.signedPart(of: der)
        let extensions = try unsafe RevocationListExtensions(of: list)
        (authorityKey, scope, number) = (extensions.authorityKey, extensions.scope, extensions.number)
        serials = try unsafe Self.serials(of: list)
        guard let thisUpdate = unsafe OpenSSL.seconds(X509_CRL_get0_lastUpdate(list)) else {
            throw Self.malformed("its time of issue can't be read")
        }
        self.thisUpdate = thisUpdate
        if let end = unsafe X509_CRL_get0_nextUpdate(list) {
            guard let nextUpdate = unsafe OpenSSL.seconds(end) else {
                throw Self.malformed("its time of the next update can't be read")
            }
            self.nextUpdate = nextUpdate
        } else {
            nextUpdate = nil
        }
        self.der = der
        digest = OpenSSL.sha256(der.span)
        issuer = unsafe PeerCertificate.text(of: X509_CRL_get_issuer(list))
        unsafe issuerName = try OpenSSL.require("reading a revocation list", X509_NAME_dup(X509_CRL_get_issuer(list)))
    }

    deinit { unsafe X509_NAME_free(issuerName) }

    /// Reads a file with one list in DER, or with one or more lists in PEM.
    package static func lists(in file: [UInt8]) throws(PKIError) -> [RevocationList] {
        // DER starts with a SEQUENCE tag and a length of several bytes. A PEM text never starts with these bytes.
        if file.count > 1, file[0] == 0x30, file[1] >= 0x80 { return [try RevocationList(der: file)] }
        let text = file.span
        let blocks = try PEM.blocks(in: text, maximumBytes: 2 * maximumBytes).filter { $0.label == "X509 CRL" }
        guard !blocks.isEmpty else { throw malformed("there is neither DER nor a block X509 CRL") }
        guard blocks.count <= maximumLists else { throw .tooLarge("file", limit: "\(maximumLists) revocation lists") }
        return try blocks.map { (block) throws(PKIError) in
            try RevocationList(der: PEM.content(of: block, in: text).plainCopy())
        }
    }

    /// Whether the list contains a serial number. The certificate must be from the list's issuer.
    func revokes(_ serial: SerialNumber) -> Bool { serials.contains(serial) }

    /// Whether the time of the next update has passed. `time` is in seconds since 1970.
    package func isOverdue(at time: Int64) -> Bool { nextUpdate.map { $0 <= time } ?? false }

    /// Whether the time of issue has passed. An issuer's clock may be ahead by `mostHasteSeconds`. `time` is in seconds
    /// since 1970.
    func hasBegun(at time: Int64) -> Bool { beginning <= time }

    /// From when on the list counts, in seconds since 1970.
    var beginning: Int64 { thisUpdate - Self.mostHasteSeconds }
    private static let mostHasteSeconds: Int64 = 300

    /// Whether the list takes the place of another one of the same CA and scope: it was issued later, or at the same
    /// time with a greater number. If the time of issue of only one of the two has passed at `now`, that one replaces
    /// the other.
    func replaces(_ other: RevocationList, at now: Int64) -> Bool {
        let isBegun = (hasBegun(at: now), other.hasBegun(at: now))
        guard isBegun.0 == isBegun.1 else { return isBegun.0 }
        return isNewer(than: other)
    }

    /// Whether the list was issued later, or at the same time with a greater number.
    private func isNewer(than other: RevocationList) -> Bool {
        guard thisUpdate == other.thisUpdate else { return thisUpdate > other.thisUpdate }
        guard number.count == other.number.count else { return number.count > other.number.count }
        return other.number.lexicographicallyPrecedes(number)
    }

    /// The former lists without a successor among the present ones. A successor is a list of the same CA that covers at
    /// least as much and is not older. A key identifier that one of two lists leaves out makes no difference.
    package static func lost(of former: [RevocationList], in present: [RevocationList]) -> [RevocationList] {
        former.filter { list in
            !present.contains { other in
                other.hasIssuer(of: list) && (other.scope == .everything || other.scope == list.scope)
                    && (other.authorityKey == nil || list.authorityKey == nil
                        || other.authorityKey == list.authorityKey)
                    && !list.isNewer(than: other)
            }
        }
    }

    /// The lists that count: those that no other list of the same CA and scope replaces. Of lists that were issued at
    /// the same time under the same number, all count.
    ///
    /// - Parameters:
    ///   - keysCount: Whether lists with different key identifiers are kept apart, since several CAs may have the same
    ///     name.
    ///   - now: In seconds since 1970.
    static func current(_ lists: [RevocationList], keysCount: Bool, now: Int64) -> [RevocationList] {
        lists.filter { list in
            !lists.contains { other in
                other.replaces(list, at: now) && other.scope == list.scope
                    && (!keysCount || other.authorityKey == list.authorityKey)
                    && other.hasIssuer(of: list)
            }
        }
    }

    /// The overdue lists that need a successor. A list past its next update is left out if the lists contain a newer
    /// one of the same CA and scope, or a current one for all certificates of the CA.
    package static func overdue(_ lists: [RevocationList], now: Int64) -> [RevocationList] {
        let current = current(lists, keysCount: true, now: now)
        return current.filter { list in
            list.isOverdue(at: now)
                && !current.contains { other in
                    other.scope == .everything && other.authorityKey == list.authorityKey
                        && other.hasIssuer(of: list)
                        && other.hasBegun(at: now) && !other.isOverdue(at: now)
                }
        }
    }

    /// Whether an `X509_NAME` equals the issuer's name.
    func isIssued(by name: OpaquePointer?) -> Bool {
        defer { extendLifetime(self) }
        return unsafe X509_NAME_cmp(issuerName, name) == 0
    }

    private func hasIssuer(of other: RevocationList) -> Bool {
        defer { extendLifetime(other) }
        return unsafe isIssued(by: other.issuerName)
    }

    /// Whether a CA (an `X509`) signed the list, and its key usage allows signing lists. The result is kept per key,
    /// since verifying a long list takes milliseconds.
    func isSigned(by authority: OpaquePointer) -> Bool {
        let usage = unsafe X509_get_key_usage(authority)
        // If the certificate has no key usage, X509_get_key_usage returns all bits.
        guard KeyUsage(rawValue: usage).contains(.cRLSign), let bits = unsafe X509_get0_pubkey_bitstr(authority),
            let key = unsafe X509_get0_pubkey(authority)
        else { return false }
        let name = unsafe OpenSSL.sha256(OpenSSL.bytes(of: bits).span)
        return verdicts.withLock { verdicts in
            if let verdict = verdicts[name] { return verdict }
            let verdict = unsafe verify(by: key)
            if verdicts.count < Self.maximumVerdicts { verdicts[name] = verdict }
            return verdict
        }
    }

    private func verify(by key: OpaquePointer) -> Bool {
        ERR_clear_error()
        defer { ERR_clear_error() }
        return unsafe der.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return false }
            // This is safe, since both ranges are within `der`. The cast to Int32 can't overflow, since a list has at
            // most 16 MiB.
            return unsafe aegis_verify_signed(
                start + signed.lowerBound, Int32(signed.count), start + signed.upperBound,
                bytes.count - signed.upperBound, key) == 1
        }
    }

    /// Returns the range of the signed part. A list names the signature's algorithm twice, inside and after the signed
    /// part. Both must be equal (RFC 5280 section 5.1.1.2).
    private static func signedPart(of der: [UInt8]) throws(PKIError) -> Range<Int> {
        let version: UInt8 = 0x02
        guard let whole = DER.content(at: 0, of: der), let content = DER.content(at: whole.lowerBound, of: der),
            let outer = DER.content(at: content.upperBound, of: der)
        else { throw malformed("it is not in DER") }
        var inside = content.lowerBound
        if der[inside] == version { inside = DER.content(at: inside, of: der)?.upperBound ?? der.count }
        guard let inner = DER.content(at: inside, of: der), der[inner] == der[outer] else {
            throw malformed("its two names of the signature's algorithm differ")
        }
        return whole.lowerBound..<content.upperBound
    }

    private static func serials(of list: OpaquePointer) throws(PKIError) -> Set<SerialNumber> {
        // For a list without entries, OpenSSL returns no stack, and the count is -1. The list owns the entries, which
        // are X509_REVOKEDs, and the caller keeps the list alive.
        let entries = unsafe X509_CRL_get_REVOKED(list)
        let count = unsafe OPENSSL_sk_num(entries)
        guard count <= maximumEntries else { throw .tooLarge("revocation list", limit: "\(maximumEntries) entries") }
        var serials = Set<SerialNumber>(minimumCapacity: max(0, Int(count)))
        for index in 0..<max(0, count) {
            let entry = unsafe OpaquePointer(OPENSSL_sk_value(entries, index))
            guard unsafe X509_REVOKED_get_ext_by_critical(entry, 1, -1) < 0,
                unsafe X509_REVOKED_get_ext_by_NID(entry, NID_certificate_issuer, -1) < 0
            else { throw malformed("an entry is another issuer's, or has a critical extension that is not known") }
            guard let number = unsafe X509_REVOKED_get0_serialNumber(entry) else {
                throw malformed("an entry has no serial number")
            }
            serials.insert(unsafe SerialNumber(number))
        }
        return serials
    }

    static func malformed(_ reason: String) -> PKIError { .malformed("revocation list", reason: reason) }
}

/// The extensions of a revocation list that Aegis understands (RFC 5280 section 5.2).
private struct RevocationListExtensions {
    var authorityKey: [UInt8]?
    var scope = RevocationScope.everything
    var number: [UInt8] = []

    init(of list: OpaquePointer) throws(PKIError) {
        for index in 0..<(unsafe X509_CRL_get_ext_count(list)) {
            // This is safe, since the list owns the extension, and the caller keeps the list alive.
            let item = unsafe X509_CRL_get_ext(list, index)
            switch unsafe OBJ_obj2nid(X509_EXTENSION_get_object(item)) {
            case NID_delta_crl:
                throw RevocationList.malformed(
                    "it is a delta list, which has only changes; the complete list is needed")
            case NID_issuing_distribution_point:
                scope = try unsafe RevocationScope(of: list)
            case NID_crl_number: number = try unsafe Self.number(of: list)
            case NID_authority_key_identifier: authorityKey = try unsafe Self.authorityKey(of: list)
            default:
                guard unsafe X509_EXTENSION_get_critical(item) == 0 else {
                    throw RevocationList.malformed("it has a critical extension that is not known")
                }
            }
        }
    }

    private static func number(of list: OpaquePointer) throws(PKIError) -> [UInt8] {
        guard let value = unsafe X509_CRL_get_ext_d2i(list, NID_crl_number, nil, nil) else {
            throw RevocationList.malformed("its number can't be read")
        }
        let number = unsafe value.assumingMemoryBound(to: ASN1_INTEGER.self)
        defer { unsafe ASN1_INTEGER_free(number) }
        guard unsafe ASN1_STRING_type(number) != V_ASN1_NEG_INTEGER else {
            throw RevocationList.malformed("its number is negative")
        }
        return Array(unsafe OpenSSL.bytes(of: number).drop { $0 == 0 })
    }

    private static func authorityKey(of list: OpaquePointer) throws(PKIError) -> [UInt8]? {
        guard let value = unsafe X509_CRL_get_ext_d2i(list, NID_authority_key_identifier, nil, nil) else {
            throw RevocationList.malformed("its authority key identifier can't be read")
        }
        let identifier = unsafe value.assumingMemoryBound(to: AUTHORITY_KEYID.self)
        defer { unsafe AUTHORITY_KEYID_free(identifier) }
        return unsafe identifier.pointee.keyid.map { unsafe OpenSSL.bytes(of: $0) }
    }
}
