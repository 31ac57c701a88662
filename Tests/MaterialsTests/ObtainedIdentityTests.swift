import Materials
import PKI
import State
import TestSupport
import Testing

/// Stored identities from Vaults.
struct ObtainedIdentityTests {
    private typealias Fixture = IdentityFixture
    private let fixture: IdentityFixture
    private let identity: Identity
    private let sealer: Sealer
    private let now = IdentityFixture.now

    init() throws {
        fixture = try IdentityFixture()
        sealer = Sealer(key: try .generate())
        identity = try Self.identity(fixture)
    }

    private static func identity(_ fixture: IdentityFixture) throws -> Identity {
        let pair = try fixture.pair()
        return try Identity(
            certificate: Array(pair.certificate.pem.utf8), key: pair.key,
            authorities: Array(fixture.authority.certificate.pem.utf8),
            origin: IdentityOrigin(certificate: "certificate", key: "key", authorities: "CAs"), now: Fixture.now)
    }

    private func stored(_ identity: Identity) throws -> ObtainedIdentity {
        try ObtainedIdentity(name: "mesh", declaration: [1], identity, secretVersion: nil, sealer: sealer, now: now)
    }

    @Test("A stored identity is read back unchanged")
    func same() throws {
        let back = try stored(identity).identity(sealer, now: now)
        #expect(back.version == identity.version)
        #expect(back.authorities == identity.authorities)
        #expect(try back.key.der() == identity.key.der())
    }

    @Test("An expired stored identity is not used")
    func expired() throws {
        let row = try stored(identity)
        #expect(throws: IdentityFault.self) { try row.identity(sealer, now: identity.notAfter) }
    }

    @Test("A part from another row, or an older part, is noticed")
    func tampering() throws {
        let (row, other) = (try stored(identity), try stored(Self.identity(fixture)))
        func mixed(
            name: String? = nil, chain: [UInt8]? = nil, authorities: [UInt8]? = nil, key: [UInt8]? = nil
        ) -> ObtainedIdentity {
            ObtainedIdentity(
                name: name ?? row.name, declaration: row.declaration, chain: chain ?? row.chain,
                authorities: authorities ?? row.authorities, sealedKey: key ?? row.sealedKey, notBefore: row.notBefore,
                notAfter: row.notAfter, obtainedAt: row.obtainedAt)
        }
        #expect(throws: Never.self) { try mixed().openKey(sealer) }
        for row in [
            mixed(name: "other"), mixed(chain: other.chain), mixed(authorities: []),
            mixed(authorities: row.authorities + other.chain), mixed(key: other.sealedKey),
            mixed(chain: row.chain + row.authorities, authorities: []),
        ] {
            #expect(throws: SealError.damaged) { try row.openKey(sealer) }
        }
    }

    @Test("After resealing, the new master key opens the identity")
    func resealed() throws {
        let row = try stored(identity)
        let newer = Sealer(key: try .generate(), olderKeys: [sealer.key])
        let resealed = ObtainedIdentity(
            name: row.name, declaration: row.declaration, chain: row.chain, authorities: row.authorities,
            sealedKey: try row.resealedKey(newer), notBefore: row.notBefore, notAfter: row.notAfter,
            obtainedAt: row.obtainedAt)
        #expect(try resealed.identity(Sealer(key: newer.key), now: now).version == identity.version)
    }

    @Test("The key of a pending request opens only for its row")
    func request() throws {
        let request = try IdentityRequest(name: "mesh", declaration: [1], key: identity.key, sealer: sealer, now: now)
        #expect(try request.openKey(sealer) == identity.key.der())
        let moved = IdentityRequest(name: "other", declaration: [1], sealedKey: request.sealedKey, createdAt: now)
        #expect(throws: SealError.damaged) { try moved.openKey(sealer) }
    }
}
