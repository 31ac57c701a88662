import Glibc
import Materials
import PKI
import SystemPackage
import TestSupport
import Testing

struct FileIdentityTests {
    private typealias Fixture = IdentityFixture
    private let now = IdentityFixture.now
    private var fixture: IdentityFixture

    init() throws { fixture = try IdentityFixture() }

    /// Reads the identity until a condition is true.
    private mutating func follow(
        _ kept: inout KeptIdentity, now: Int64 = IdentityFixture.now, until condition: (KeptIdentity) -> Bool
    ) {
        for _ in 0..<2000 {
            let changed = fixture.files.look()
            _ = kept.look(changed, fixture.files, now: now)
            if condition(kept) { return }
            usleep(5_000)
        }
        Issue.record("the change is not seen: \(String(describing: kept.failure))")
    }

    @Test("A certificate file, key file and CA file form an identity for client and server")
    mutating func good() throws {
        let pair = try fixture.pair()
        try fixture.write(pair)
        let kept = KeptIdentity(Fixture.source, &fixture.files, now: now)
        #expect(kept.failure == nil)
        let identity = try #require(kept.identity)
        #expect(identity.chain.certificates == [pair.certificate])
        #expect(identity.authorities == [fixture.authority.certificate.der])
        #expect(identity.reasonAgainstUpstreams == nil)
        #expect(identity.notAfter == pair.certificate.notAfter)
        #expect(identity.expiresAt == pair.certificate.notAfter)
        #expect(identity.version.count == 32)
        #expect(kept.warnings(now: now).isEmpty)
        kept.release(&fixture.files)
        #expect(fixture.files["node.crt"].content == nil)
    }

    @Test("A chain in any order is sent with the leaf first")
    mutating func order() throws {
        let pair = try fixture.pair()
        try fixture.write(pair)
        try fixture.rename(fixture.authority.certificate.pem + pair.certificate.pem, to: "node.crt")
        let kept = KeptIdentity(Fixture.source, &fixture.files, now: now)
        #expect(kept.identity?.chain.leaf == pair.certificate)
    }

    @Test(
        "A pair of files replaced by renaming or in place is read, and gets a new version",
        arguments: [true, false]
    )
    mutating func rotation(isRenamed: Bool) throws {
        try fixture.write(try fixture.pair())
        var kept = KeptIdentity(Fixture.source, &fixture.files, now: now)
        let former = try #require(kept.identity)
        let new = try fixture.pair()
        for (name, text) in ["node.key": try new.keyText, "node.crt": new.certificate.pem] {
            try isRenamed ? fixture.rename(text, to: name) : fixture.overwrite(text, in: name)
        }
        follow(&kept) { $0.identity?.version != former.version }
        #expect(kept.failure == nil)
        #expect(kept.identity?.chain.leaf == new.certificate)
    }

    @Test("Half of a new pair leaves the old pair in force until the other half arrives")
    mutating func half() throws {
        let old = try fixture.pair()
        try fixture.write(old)
        var kept = KeptIdentity(Fixture.source, &fixture.files, now: now)
        let new = try fixture.pair("other.test")
        try fixture.rename(new.certificate.pem, to: "node.crt")
        follow(&kept) { $0.failure != nil }
        let place = fixture.folder.path("node.crt")
        #expect(
            kept.failure?.reason
                == "cert_file '\(place)': the private key does not belong to the certificate 'other.test'")
        #expect(kept.failure?.since == now)
        #expect(kept.identity?.chain.leaf == old.certificate)
        try fixture.rename(try new.keyText, to: "node.key")
        follow(&kept) { $0.failure == nil }
        #expect(kept.identity?.chain.leaf == new.certificate)
    }

    @Test("Changed CAs give a new version")
    mutating func otherAuthorities() throws {
        let pair = try fixture.pair()
        try fixture.write(pair)
        var kept = KeptIdentity(Fixture.source, &fixture.files, now: now)
        let former = try #require(kept.identity)
        let other = try CertificateAuthority.makeRoot(commonName: "next CA", now: now)
        try fixture.rename(fixture.authority.certificate.pem + other.certificate.pem, to: "ca.crt")
        follow(&kept) { $0.identity?.version != former.version }
        #expect(kept.identity?.authorities.count == 2)
        #expect(kept.identity?.chain == former.chain)
    }

    @Test(
        "A key that others can read is refused with the command that corrects its mode",
        arguments: [0o644, 0o640, 0o604, 0o620])
    mutating func exposed(mode: Int) throws {
        try fixture.write(try fixture.pair(), mode: mode_t(mode))
        var kept = KeptIdentity(Fixture.source, &fixture.files, now: now)
        let key = fixture.folder.path("node.key")
        #expect(kept.identity == nil)
        #expect(
            kept.failure?.reason
                == "key_file '\(key)': others can read or write it, and keys are in it; run: chmod 600 '\(key)'")
        // This is safe, since the call only reads the path.
        #expect(unsafe chmod(key, 0o600) == 0)
        follow(&kept) { $0.identity != nil }
        // If the key file becomes readable for others, that is reported, and the identity stays in force.
        #expect(unsafe chmod(key, mode_t(mode)) == 0)
        follow(&kept) { $0.failure != nil }
        #expect(kept.identity != nil)
    }

    @Test("An expired certificate is refused, but one that expires in use stays with a warning")
    mutating func expired() throws {
        try fixture.write(try fixture.pair(days: 1))
        let late = now + 2 * IdentityFixture.day
        let refused = KeptIdentity(Fixture.source, &fixture.files, now: late)
        #expect(refused.identity == nil)
        #expect(refused.failure?.reason.contains("node.crt': it expired on 2027-01-16") == true)
        var kept = KeptIdentity(Fixture.source, &fixture.files, now: now)
        #expect(kept.look([], fixture.files, now: late) == false)
        #expect(kept.identity != nil)
        #expect(kept.warnings(now: late).first?.contains("stays in force until it is replaced") == true)
        // Another expired certificate does not replace the identity.
        let former = kept.identity?.version
        try fixture.write(try fixture.pair(days: 1))
        follow(&kept, now: late) { $0.failure != nil }
        #expect(kept.identity?.version == former)
        try fixture.write(try fixture.pair(days: 30))
        follow(&kept, now: late) { $0.failure == nil }
        #expect(kept.warnings(now: late).isEmpty)
    }

    @Test("A certificate that is not valid yet is tried again until it is")
    mutating func later() throws {
        let begin = now + 1000
        try fixture.write(try fixture.pair(now: begin))
        var kept = KeptIdentity(Fixture.source, &fixture.files, now: now)
        #expect(kept.failure?.reason.contains("it is not valid before") == true)
        #expect(kept.look([], fixture.files, now: begin) == true)
        #expect(kept.identity != nil)
    }

    struct Fault: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let reason: String
        let ruin: @Sendable (IdentityFixture) throws -> Void
    }

    static let faults = [
        Fault(testDescription: "no certificate", reason: "node.crt': No such file") {
            _ = unsafe unlink($0.folder.path("node.crt"))
        },
        Fault(testDescription: "no key", reason: "node.key': No such file") {
            _ = unsafe unlink($0.folder.path("node.key"))
        },
        Fault(testDescription: "no CA", reason: "ca.crt': No such file") {
            _ = unsafe unlink($0.folder.path("ca.crt"))
        },
        Fault(testDescription: "an empty CA file", reason: "ca.crt': no certificate found") {
            try $0.rename("", to: "ca.crt")
        },
        Fault(testDescription: "a key that is cut off", reason: "node.key': the PEM text is malformed") {
            try $0.rename(String(try $0.text("node.key").prefix(100)), to: "node.key")
        },
        Fault(testDescription: "a certificate in place of the key", reason: "node.key': no private key found") {
            try $0.rename(try $0.text("node.crt"), to: "node.key")
        },
        Fault(testDescription: "another's key", reason: "node.crt': the private key does not belong to") {
            try $0.rename(try $0.pair().keyText, to: "node.key")
        },
        Fault(testDescription: "a weak key", reason: "node.key': the key is too weak (RSA 1024)") {
            try $0.rename(weakKey, to: "node.key")
        },
        Fault(testDescription: "a text", reason: "node.crt': no certificate found") {
            try $0.rename("404 Not Found", to: "node.crt")
        },
    ]

    @Test("An unusable pair is reported without the key, and the former identity stays", arguments: faults)
    mutating func fault(_ fault: Fault) throws {
        try fixture.write(try fixture.pair())
        var kept = KeptIdentity(Fixture.source, &fixture.files, now: now)
        try fault.ruin(fixture)
        follow(&kept) { $0.failure != nil }
        #expect(kept.failure?.reason.contains(fault.reason) == true, "\(String(describing: kept.failure))")
        let keyLines = ((try? fixture.text("node.key")) ?? "").split(separator: "\n").filter { !$0.hasPrefix("-----") }
        #expect(!keyLines.contains { kept.failure?.reason.contains($0.prefix(12)) == true })
        #expect(kept.identity != nil)
        let first = KeptIdentity(Fixture.source, &fixture.files, now: now)
        #expect(first.identity == nil)
        #expect(first.failure != nil)
        try fixture.write(try fixture.pair())
        follow(&kept) { $0.failure == nil }
    }
}

/// An RSA key of 1024 bits, which is too weak.
private let weakKey = """
    -----BEGIN RSA PRIVATE KEY-----
    MIICXgIBAAKBgQDsVC4MknWZaKhWxCC4wsFYiHrVzvYFjQm9UfBO6TsVRvwRIApA
    GY401Ian7rc/USZSpj6W25yVBOqF1NhAvTEX39UflDA+lfNBFx0X70hGMjCoyPY8
    YiRYlOaIAXJc8zdJOtafEkJJo7GULbdZcwcpXrXr85OaJt1IdL3B58S+4wIDAQAB
    AoGBAObKOoI6kS+0nhjFxfLI9so/1j1wtJ+tIWLKXzSg3fskbEtJD9mTW2XKWoor
    PLdPx24VPbBTXXHF8EWsG1f1qrb2eh8tUzS/pTzA6SuPuxeXMnQhSnHulmyw18Fo
    TN/JzfWmnESwQpgLa8EmyDcFHY3fFs3QknPMrQM+OxBxmKHpAkEA+laWm9elmUp9
    Bpi6Pnia+UM+H9PZnWme8twX0pnOyEPr/F7UMecSv8t4QHu/Dzs9NkJeZy3j6uDS
    XpW233A5jwJBAPGses32EiM9GyBmrz7sIIoU+5NP9taJIwSsZxY/yhSDEnmTSW+x
    ZFA++CtKVvMWiZGotmTv1hG+W8tCpuhPc20CQQDPbjAdsfJlsnMmpCau3QCMyksP
    1FrdNEegtP6IYyoUhzNjSrBJKU8/3TknNWJ7HHr8GsJefIf+d4vZE/UT78nBAkBS
    UH8be769xehhZtg1xFNo9LCjgk7+z4Lf6qDKETwRNHuscSBILNGQC4KXrCBld72v
    oRlO0+nD7WRynOcgpT8ZAkEAyyNq5j5t0cTg5UK2vi46SSzgtMbgh41cQ09lXvbn
    1zeCKCX5URjiS7ErCNCzhXNeyyfw6tWBhNdumuQ8UdHeiQ==
    -----END RSA PRIVATE KEY-----
    """
