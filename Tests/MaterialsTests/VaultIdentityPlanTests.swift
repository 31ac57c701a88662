import PKI
import Testing
import Vault

@testable import Materials

/// When identities are obtained from a Vault.
struct VaultIdentityPlanTests {
    private typealias Plan = VaultIdentityPlan
    private static let now: Int64 = 1_800_000_000
    private static let day: Int64 = 86_400

    private static func issued(
        role: String = "node", names: [SubjectName] = [.dns("a.test")], uris: [String] = [], seconds: Int64? = 86_400,
        mount: String = "pki", vault: String = "main", address: String = "https://vault.test", namespace: String? = nil
    ) throws -> VaultIdentityDeclaration {
        VaultIdentityDeclaration(
            name: "mesh", vault: vault, address: address, namespace: namespace,
            content: .certificate(
                try VaultCertificateOrder(
                    mount: mount, role: role, commonName: nil, alternatives: names.map(\.text) + uris, seconds: seconds)
            ))
    }

    private static func secret(path: String = "edge", ca: String? = "ca") -> VaultIdentityDeclaration {
        VaultIdentityDeclaration(
            name: "mesh", vault: "main", address: "https://vault.test", namespace: nil,
            content: .secret(
                VaultSecretPlace(mount: "kv", path: path, certificate: "cert", key: "key", authorities: ca)))
    }

    private static func present(
        _ declaration: VaultIdentityDeclaration, renewIn: Int64 = 16 * 3600, life: Int64 = day, version: Int64? = nil
    ) -> Plan.Present {
        Plan.Present(
            declaration: declaration.digest, renewAt: now + renewIn, expiresAt: now + life, obtainedAt: now,
            secretVersion: version)
    }

    @Test("An identity that was never obtained is requested at once")
    func first() throws {
        for declaration in [try Self.issued(), Self.secret()] {
            #expect(Plan(declaration, jitter: 0).step(at: Self.now) == .obtain)
        }
    }

    @Test("An issued certificate is renewed when due, and the mount's CAs are read every five minutes")
    func renewal() throws {
        let declaration = try Self.issued()
        var plan = Plan(declaration, jitter: 0)
        plan.obtained(Self.present(declaration), at: Self.now)
        #expect(plan.step(at: Self.now) == .rest(until: Self.now + 300))
        #expect(plan.step(at: Self.now + 300) == .look)
        plan.looked(at: Self.now + 300)
        #expect(plan.step(at: Self.now + 301) == .rest(until: Self.now + 600))
        plan.looked(at: Self.now + 16 * 3600 - 10)
        #expect(plan.step(at: Self.now + 16 * 3600 - 1) == .rest(until: Self.now + 16 * 3600))
        #expect(plan.step(at: Self.now + 16 * 3600) == .obtain)
    }

    @Test("After a start with a stored identity the CAs are read soon")
    func adopted() throws {
        let declaration = try Self.issued()
        var plan = Plan(declaration, jitter: 0)
        plan.adopted(Self.present(declaration))
        #expect(plan.step(at: Self.now) == .look)
    }

    @Test("A secret's version is checked each minute, and the secret is read if it changed")
    func secrets() {
        let declaration = Self.secret()
        var plan = Plan(declaration, jitter: 0)
        plan.obtained(Self.present(declaration, renewIn: 0, version: 3), at: Self.now)
        // The operator decides when a secret is replaced, so its age makes nothing due.
        #expect(plan.step(at: Self.now + 59) == .rest(until: Self.now + 60))
        #expect(plan.step(at: Self.now + 60) == .look)
        let look = { plan.mustRead($0, at: Self.now + 60) }
        #expect(!look(.present(3)))
        for version in [.present(4), .present(2), .unknown, .deleted(3), .destroyed(3), .absent] as [VaultSecretVersion]
        {
            #expect(look(version))
        }
        plan.looked(at: Self.now + 60)
        #expect(plan.step(at: Self.now + 60) == .rest(until: Self.now + 120))
    }

    @Test("A secret is read even at the same version: at a start, at SIGHUP, after failures, and hourly")
    func sameVersions() {
        let declaration = Self.secret()
        var plan = Plan(declaration, jitter: 0)
        plan.adopted(Self.present(declaration, version: 3))
        #expect(plan.mustRead(.present(3), at: Self.now))
        plan.confirmed(at: Self.now)
        #expect(!plan.mustRead(.present(3), at: Self.now + 60))
        plan.looked(at: Self.now + 3540)
        #expect(plan.mustRead(.present(3), at: Self.now + 3600))
        plan.confirmed(at: Self.now)
        plan.failed(at: Self.now)
        #expect(plan.mustRead(.present(3), at: Self.now + 60))
        plan.confirmed(at: Self.now + 60)
        #expect(!plan.mustRead(.present(3), at: Self.now + 60))
        plan.failed(at: Self.now + 60)
        plan.retryNow()
        #expect(plan.mustRead(.present(3), at: Self.now + 60))
    }

    @Test("Jitter makes checks earlier by at most a tenth", arguments: [0, UInt64.max, 0x1234_5678_9ABC_DEF0])
    func jitter(_ jitter: UInt64) {
        let declaration = Self.secret()
        var plan = Plan(declaration, jitter: jitter)
        plan.obtained(Self.present(declaration, version: 3), at: Self.now)
        guard case .rest(let until) = plan.step(at: Self.now) else {
            Issue.record("it is looked at again at once")
            return
        }
        #expect(Self.now + 54...Self.now + 60 ~= until)
    }

    @Test("A changed declaration is obtained at once, even after failures; a renamed Vault changes nothing")
    func declarations() throws {
        let base = try Self.issued()
        let others = [
            try Self.issued(role: "other"), try Self.issued(names: [.dns("b.test")]),
            try Self.issued(names: [.dns("a.test"), .dns("b.test")]), try Self.issued(seconds: 3600),
            try Self.issued(seconds: nil), try Self.issued(mount: "pki2"),
            try Self.issued(uris: ["spiffe://a.test/b"]), try Self.issued(address: "https://other.test"),
            try Self.issued(namespace: "team"), Self.secret(), Self.secret(path: "other"), Self.secret(ca: nil),
        ]
        #expect(Set(others.map(\.digest) + [base.digest]).count == others.count + 1)
        for other in others {
            var plan = Plan(base, jitter: 0)
            plan.obtained(Self.present(base), at: Self.now)
            for _ in 0..<20 { plan.failed(at: Self.now) }
            plan.declare(other)
            #expect(plan.step(at: Self.now) == .obtain)
            plan.obtained(Self.present(other), at: Self.now)
            if case .rest = plan.step(at: Self.now) {} else { Issue.record("it is obtained twice") }
        }
        var plan = Plan(base, jitter: 0)
        plan.obtained(Self.present(base), at: Self.now)
        plan.declare(try Self.issued(vault: "renamed"))
        #expect(plan.step(at: Self.now) == .rest(until: Self.now + 300))
    }

    struct Delays: Sendable, CustomStringConvertible {
        let description: String
        let isIssued: Bool
        /// The rest of the lifetime in seconds; nil if there is no identity.
        let left: Int64?
        let delays: [Int64]
    }

    @Test(
        "Delays double after failures, but stay short while hosts wait",
        arguments: [
            Delays(description: "none yet", isIssued: true, left: nil, delays: [2, 4, 8, 15, 15, 15]),
            Delays(description: "ends soon", isIssued: true, left: 290, delays: [2, 4, 8, 15, 15]),
            Delays(
                description: "serves on", isIssued: true, left: 8 * 3600,
                delays: [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
            Delays(
                description: "a secret", isIssued: false, left: 8 * 3600, delays: [2, 4, 8, 16, 32, 60, 60]),
            Delays(description: "has ended", isIssued: true, left: -10, delays: [2, 4, 8, 15, 15]),
        ])
    func delays(_ sample: Delays) throws {
        let declaration = sample.isIssued ? try Self.issued() : Self.secret()
        var plan = Plan(declaration, jitter: 0)
        if let left = sample.left {
            plan.adopted(
                Plan.Present(
                    declaration: declaration.digest, renewAt: Self.now, expiresAt: Self.now + left, obtainedAt: 0,
                    secretVersion: 1))
        }
        for delay in sample.delays {
            plan.failed(at: Self.now)
            #expect(plan.step(at: Self.now) == .rest(until: Self.now + delay))
        }
        plan.failed(at: Self.now, askedSeconds: 1000)
        #expect(plan.step(at: Self.now) == .rest(until: Self.now + 1000))
        plan.failed(at: Self.now, askedSeconds: .max)
        #expect(plan.step(at: Self.now) == .rest(until: Self.now + 3600))
        plan.retryNow()
        #expect(plan.step(at: Self.now) != .rest(until: Self.now + 3600))
    }

    @Test("While another gateway requests the identity, the state is read again a second later")
    func held() throws {
        var plan = Plan(try Self.issued(), jitter: 0)
        plan.isHeldByAnother(at: Self.now)
        #expect(plan.step(at: Self.now) == .rest(until: Self.now + 1))
        #expect(plan.step(at: Self.now + 1) == .obtain)
    }

    @Test("A certificate that is due when issued is not renewed at once, whatever the clock says")
    func clocks() throws {
        let declaration = try Self.issued()
        for (renewIn, life, rest) in [(-10_000, 3600, 1800), (-10_000, -5, 10), (-5, 4, 10)] as [(Int64, Int64, Int64)]
        {
            let present = Self.present(declaration, renewIn: renewIn, life: life)
            #expect(present.renewAt == Self.now + rest)
        }
        #expect(Self.present(declaration).renewAt == Self.now + 16 * 3600)
    }
}
