import COpenSSL
import Testing

@testable import PKI

/// What certificates of one profile have in common.
@Suite struct CertificateShapeTests {
    private static func leaf(
        _ name: String, _ extensions: [Forge.Extension], serial: Int = 3
    ) throws -> [UInt8] {
        let root = try Forge.certificate(
            "root", key: Forge.Key(.p256), days: (-100, 1000), serial: 1, [.authority, .signsCertificates])
        return try Forge.certificate(
            name, key: Forge.Key(.p256), from: root, days: (-10, 90), serial: serial,
            extensions + [.names("DNS:\(name)")]
        ).der
    }

    private static func unknown(isCritical: Bool) -> Forge.Extension {
        .raw(CertificateExtension(identifier: "1.2.3.4.5", isCritical: isCritical, value: [0x05, 0x00]))
    }

    @Test("A shape ignores names, keys and serials, but not purposes and critical extensions")
    func shapes() throws {
        let usual: [Forge.Extension] = [.endEntity, .signsHandshakes, .forServers]
        let shape = try #require(try CertificateShape.of(Self.leaf("a.test", usual)))
        #expect(try CertificateShape.of(Self.leaf("a-longer-name.test", usual, serial: 77)) == shape)
        let others: [[Forge.Extension]] = [
            [], [.endEntity, .signsHandshakes], [.endEntity, .signsHandshakes, .forClients],
            [.endEntity, .signsCertificates, .forServers], [.authority, .signsHandshakes, .forServers],
            usual + [Self.unknown(isCritical: true)], usual + [Self.unknown(isCritical: false)],
            usual + [.text(NID_netscape_cert_type, "client")], usual + [.text(NID_netscape_cert_type, "server")],
        ]
        var shapes: Set<[UInt8]> = [shape]
        for extensions in others {
            let other = try #require(try CertificateShape.of(Self.leaf("a.test", extensions)))
            #expect(shapes.insert(other).inserted)
        }
    }

    @Test("A cut off or garbled certificate has another shape or none, and causes no trap")
    func garbled() throws {
        let der = try Self.leaf("a.test", [.endEntity, .forServers])
        for count in 0..<der.count { #expect(CertificateShape.of(Array(der[..<count])) == nil) }
        for index in der.indices {
            for value: UInt8 in [0x00, 0x30, 0x80, 0x84, 0xFF] {
                var other = der
                other[index] = value
                _ = CertificateShape.of(other)
            }
        }
        #expect(CertificateShape.of([0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]) == nil)
    }
}
