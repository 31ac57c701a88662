/// What a certificate has in common with others of the same CA and profile: its extensions, whether each is critical,
/// and the values that limit the key's use. Clients that accept one such certificate accept all. Names, dates, serial
/// number and key are left out.
///
/// A state may have very many certificates, so this type reads a certificate without OpenSSL. That takes only some
/// microseconds.
package enum CertificateShape {
    /// The identifiers (2.5.29.x, in DER) of the extensions whose values are a part of the shape: key usage, basic
    /// constraints, extended key usage.
    private static let limits: [[UInt8]] = [[0x55, 0x1D, 15], [0x55, 0x1D, 19], [0x55, 0x1D, 37]]
    /// The identifier of Netscape's certificate type. Its value is a part of the shape too, since OpenSSL checks it.
    private static let netscapeType: [UInt8] = [0x60, 0x86, 0x48, 0x01, 0x86, 0xF8, 0x42, 0x01, 0x01]

    /// The shape of a certificate in DER. Nil if the certificate has no extensions, or is not written as DER.
    package static func of(_ der: [UInt8]) -> [UInt8]? {
        var outer = DERReader(der[...])
        guard var certificate = outer.next(0x30), var body = certificate.next(0x30) else { return nil }
        // Only the extensions, the last field, have the tag [3] (RFC 5280 section 4.1).
        while let field = body.nextField() {
            guard field.tag == 0xA3 else { continue }
            var wrapper = DERReader(field.content)
            return wrapper.next(0x30).flatMap(shape)
        }
        return nil
    }

    private static func shape(of extensions: DERReader) -> [UInt8]? {
        var extensions = extensions
        var shape: [UInt8] = []
        while var one = extensions.next(0x30) {
            guard let identifier = one.next(0x06)?.content else { return nil }
            // The element 0x01 (BOOLEAN) marks a critical extension. Other extensions do not have the element, since
            // DER leaves out default values.
            let isCritical = one.next(0x01) != nil
            shape += [UInt8(truncatingIfNeeded: identifier.count), isCritical ? 1 : 0] + identifier
            if limits.contains(where: { identifier.elementsEqual($0) }) || identifier.elementsEqual(netscapeType) {
                guard let value = one.next(0x04)?.content else { return nil }
                shape += [UInt8(truncatingIfNeeded: value.count)] + value
            }
        }
        return extensions.isAtEnd ? shape : nil
    }
}

/// Reads the elements of a DER text one after another (X.690). Lengths are at most four bytes long.
private struct DERReader {
    private(set) var content: ArraySlice<UInt8>

    init(_ content: ArraySlice<UInt8>) { self.content = content }

    var isAtEnd: Bool { content.isEmpty }

    /// Reads the next element if it has this tag, and returns a reader of its content. Otherwise returns nil and stays
    /// where it is.
    mutating func next(_ tag: UInt8) -> DERReader? {
        guard content.first == tag else { return nil }
        return nextField().map { DERReader($0.content) }
    }

    /// Reads the next element. Nil at the end, or if the element is cut off.
    mutating func nextField() -> (tag: UInt8, content: ArraySlice<UInt8>)? {
        var rest = content
        guard let tag = rest.popFirst(), let first = rest.popFirst() else { return nil }
        var length = Int(first)
        if first >= 0x80 {
            let count = Int(first & 0x7F)
            guard (1...4).contains(count), rest.count >= count else { return nil }
            length = rest.prefix(count).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(count)
        }
        guard rest.count >= length else { return nil }
        content = rest.dropFirst(length)
        return (tag, rest.prefix(length))
    }
}
