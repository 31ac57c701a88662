import COpenSSL
import Glibc
import Testing

@testable import PKI

/// Which sessions of servers a client resumes, and until when.
@Suite struct TLSSessionCacheTests {
    private static let versions: [TLSConnection.Version] = [.v1_2, .v1_3]
    private static let key = TLSSessionCache.Key(scope: 1, address: [1])
    /// OpenSSL takes the times of sessions from the machine's clock.
    private let now = Int64(time(nil))

    /// A server, and a client that trusts it. The authority's certificate expires `authorityDays` after `testNow`.
    private struct Stand {
        let client: TLSClientContext
        let server: TLSServerContext
        let credential: TLSCredential
        let trust: PeerTrust
        let cache = TLSSessionCache()

        init(authorityDays: Int64 = 9000, allowsExpired: Bool = false) throws {
            let root = try Forge.certificate(
                "servers", key: Forge.Key(.p256), days: (-10, authorityDays), serial: 1,
                [.authority, .signsCertificates])
            let leaf = try Forge.certificate(
                "server", key: Forge.Key(.p256), from: root, days: (-10, 9000), serial: 2,
                [.endEntity, .names("DNS:server.test")])
            client = try TLSClientContext(trust: .nobody)
            server = try TLSServerContext(tickets: TicketKeys())
            credential = try TLSCredential(chain: [leaf.der], key: leaf.key.privateKey())
            let rules = try PeerRules(purpose: .server, authorities: [root.der], allowsExpired: allowsExpired)
            trust = try PeerTrust(rules: rules, now: { testNow })
        }

        /// Makes a connection, and says whether it has resumed a session.
        func connect(
            _ version: TLSConnection.Version, key: TLSSessionCache.Key = key, offers: Bool = true, now: Int64,
            breaking: Bool = false
        ) throws -> Bool {
            let pair = try TLSPair(client, server, version: version)
            let verifies = pair.client.verify(by: trust)
            try #require(verifies)
            pair.client.useSessions(of: cache, for: key, offers: offers, now: now)
            let outcome = pair.run { $0.choose(credential, TLSPolicy(scope: TLSScope("test"))) }
            #expect(outcome.isComplete)
            if breaking {
                // A fatal alert of either side also makes the session unusable.
                _ = unsafe SSL_CTX_remove_session(client.context, SSL_get_session(pair.client.ssl))
            }
            return pair.client.isResumed
        }

        /// A copy of a session, which ends at another time.
        func copy(_ session: TLSClientSession, until: Int64) throws -> TLSClientSession {
            let copy = try unsafe OpenSSL.require("copying a session", SSL_SESSION_dup(session.handle))
            defer { unsafe SSL_SESSION_free(copy) }
            return try #require(unsafe TLSClientSession(copy, until: until))
        }
    }

    @Test("A connection resumes a session of the same server under the same settings", arguments: versions)
    func keys(version: TLSConnection.Version) throws {
        let stand = try Stand()
        #expect(try !stand.connect(version, now: now))
        #expect(try stand.connect(version, now: now) && stand.connect(version, now: now))
        #expect(try !stand.connect(version, key: .init(scope: 2, address: [1]), now: now))
        #expect(try !stand.connect(version, key: .init(scope: 1, address: [2]), now: now))
        #expect(try !stand.connect(version, offers: false, now: now))
        stand.cache.forget(scope: 1)
        #expect(try !stand.connect(version, now: now))
        #expect(stand.cache.makeScope() != stand.cache.makeScope())
    }

    @Test("A session of TLS 1.3 is used once, one of TLS 1.2 repeatedly")
    func uses() throws {
        for version in Self.versions {
            let stand = try Stand()
            _ = try stand.connect(version, now: now)
            #expect(stand.cache.count == 1 && stand.cache.take(Self.key, now: now) != nil)
            #expect((stand.cache.take(Self.key, now: now) == nil) == (version == .v1_3))
        }
    }

    @Test("All sessions from one full handshake end an hour after it", arguments: versions)
    func hour(version: TLSConnection.Version) throws {
        let stand = try Stand()
        _ = try stand.connect(version, now: now)
        let first = try #require(stand.cache.take(Self.key, now: now))
        #expect((now + 3500...now + 3700).contains(first.until))
        // The session is replaced by a copy that ends in half an hour, as if it were half an hour old.
        stand.cache.forget(Self.key)
        let end = now + 1800
        stand.cache.add(try stand.copy(first, until: end), for: Self.key)
        #expect(try stand.connect(version, now: now))
        let second = try #require(stand.cache.take(Self.key, now: now))
        #expect(second.until == end)
        stand.cache.add(try stand.copy(second, until: end), for: Self.key)
        #expect(stand.cache.take(Self.key, now: end) == nil && stand.cache.count == 0)
    }

    @Test("A session ends when the first certificate of its chain expires", arguments: versions)
    func chain(version: TLSConnection.Version) throws {
        // The authority's certificate ends within a day, and so perhaps within the hour.
        let days = (now - testNow) / 86400 + 1
        let stand = try Stand(authorityDays: days)
        let end = testNow + days * 86400
        _ = try stand.connect(version, now: now)
        let session = try #require(stand.cache.take(Self.key, now: now))
        #expect(session.until == min(end, session.since + 3600))
        let past = try Stand(authorityDays: (now - testNow) / 86400 - 1)
        _ = try past.connect(version, now: now)
        #expect(past.cache.count == 0)
        let forgiving = try Stand(authorityDays: (now - testNow) / 86400 - 1, allowsExpired: true)
        #expect(try !forgiving.connect(version, now: now) && forgiving.connect(version, now: now))
    }

    @Test("Setting the clock back by more than a minute ends sessions", arguments: versions)
    func clock(version: TLSConnection.Version) throws {
        let stand = try Stand()
        _ = try stand.connect(version, now: now)
        #expect(try stand.connect(version, now: now - 30))
        #expect(try !stand.connect(version, now: now - 90))
    }

    @Test("Expired sessions leave the cache")
    func expiry() throws {
        let stand = try Stand()
        _ = try stand.connect(.v1_3, now: now)
        stand.cache.forgetExpired(now: now + 3000)
        #expect(stand.cache.count == 1)
        stand.cache.forgetExpired(now: now + 3700)
        #expect(stand.cache.count == 0)
    }

    @Test("A TLS 1.2 session of a broken connection is not resumed (RFC 5246 section 7.2.2)")
    func broken() throws {
        let stand = try Stand()
        _ = try stand.connect(.v1_2, now: now, breaking: true)
        #expect(try !stand.connect(.v1_2, now: now))
    }

    @Test("A ticket with a lifetime of 0 is dropped")
    func lifetime() throws {
        let session = try unsafe OpenSSL.require("making a session", SSL_SESSION_new())
        defer { unsafe SSL_SESSION_free(session) }
        // A new session has no lifetime hint, which only TLS 1.3 takes for 0.
        for (version, isKept) in [(TLS1_2_VERSION, true), (TLS1_3_VERSION, false)] {
            try unsafe OpenSSL.check("making a session", SSL_SESSION_set_protocol_version(session, version))
            #expect(unsafe (TLSClientSession(session, until: .max) != nil) == isKept)
        }
    }

    @Test("In a full cache the oldest sessions are removed")
    func limits() throws {
        let stand = try Stand()
        _ = try stand.connect(.v1_3, now: now)
        let sample = try #require(stand.cache.take(Self.key, now: now))
        let cache = TLSSessionCache()
        for number in 0..<Int64(TLSSessionCache.limitOfKey + 3) {
            cache.add(try stand.copy(sample, until: now + 100 + number), for: Self.key)
        }
        #expect(cache.count == TLSSessionCache.limitOfKey)
        var ends: [Int64] = []
        while let session = cache.take(Self.key, now: now) { ends.append(session.until - now - 100) }
        #expect(ends == (3..<Int64(TLSSessionCache.limitOfKey + 3)).reversed())
        for number in 0..<UInt64(TLSSessionCache.limit + 5) {
            cache.add(try stand.copy(sample, until: now + 100), for: .init(scope: number, address: []))
        }
        #expect(cache.count == TLSSessionCache.limit)
        #expect(cache.take(.init(scope: 4, address: []), now: now) == nil)
        #expect(cache.take(.init(scope: 5, address: []), now: now) != nil)
    }
}
