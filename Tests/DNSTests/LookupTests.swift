import Testing

@testable import DNS

@Suite struct LookupTests {
    private let server: NameServer

    init() throws { server = try NameServer.shared.get() }

    @Test("The strings of a TXT record are joined; a name without TXT records, or an unknown one, has none")
    func texts() throws {
        #expect(try Set(server.lookup.txt("text.open.test")) == ["one and twoä", "other"])
        #expect(try server.lookup.txt("TEXT.open.test.").count == 2)
        #expect(try server.lookup.txt("ns1.open.test").isEmpty)
        #expect(try server.lookup.txt("nothing.open.test").isEmpty)
    }

    @Test("Addresses are found behind CNAMEs too, and a loop of CNAMEs ends")
    func addresses() throws {
        #expect(try server.lookup.addresses("ns1.open.test") == ["127.0.0.1"])
        #expect(try server.lookup.addresses("alias.open.test") == ["192.0.2.1", "2001:db8::1"])
        #expect(try server.lookup.canonicalName(of: "alias.open.test") == "both.open.test")
        #expect(try server.lookup.canonicalName(of: "text.open.test") == "text.open.test")
        #expect(try server.lookup.addresses("circle.open.test").isEmpty)
    }

    @Test("CAA records are read as flags, tag and value")
    func caa() throws {
        let records = try server.lookup.caa("open.test").sorted { $0.tag < $1.tag }
        #expect(
            records == [
                DNSLookup.CAARecord(flags: 0, tag: "issue", value: "ca.test"),
                DNSLookup.CAARecord(flags: 128, tag: "issuewild", value: ";"),
            ])
        #expect(try server.lookup.caa("text.open.test").isEmpty)
    }

    @Test("A zone and its servers are found from any name in it, existing or not")
    func zones() throws {
        for name in ["open.test", "text.open.test", "_acme-challenge.a.b.open.test", "alias.open.test"] {
            let zone = try server.lookup.zone(of: name)
            #expect(zone.name == "open.test" && zone.nameServers == ["ns1.open.test", "ns2.open.test"])
        }
        // Knot is not authoritative for names above its zones.
        let failure = #expect(throws: DNSFailure.self) { try server.lookup.zone(of: "else.test") }
        #expect(
            failure?.reason
                == "\(server.knot): asked for 'else.test': REFUSED: the server does not do that for us")
    }

    @Test("Datagrams that don't answer the question are ignored")
    func noise() throws {
        let lookup = DNSLookup(servers: [server.noisy], timeout: .seconds(20), tries: 1)
        #expect(try Set(lookup.txt("text.open.test")) == ["one and twoä", "other"])
    }

    @Test("If a server is silent or unreachable, the next one is asked")
    func nextServer() throws {
        let nobody = DNSServer(host: "127.0.0.1", port: 1)
        let lookup = DNSLookup(servers: [nobody, server.mute, server.knot], timeout: .seconds(1), tries: 1)
        #expect(try lookup.addresses("ns1.open.test") == ["127.0.0.1"])
        func failure(_ server: DNSServer) -> DNSFailure? {
            let lookup = DNSLookup(servers: [server], timeout: .milliseconds(100), tries: 2)
            return #expect(throws: DNSFailure.self) { try lookup.txt("text.open.test") }
        }
        #expect(failure(nobody)?.reason == "127.0.0.1:1: connection refused")
        #expect(failure(nobody)?.isUnanswered == false)
        #expect(failure(server.mute)?.reason == "\(server.mute): no answer within 0.1 seconds")
        // A failure without an answer is marked, so that callers need not ask again.
        #expect(failure(server.mute)?.isUnanswered == true)
    }

    @Test(
        "Only valid names are looked up",
        arguments: [
            "", ".", "a..b", ".a", "a b.test", "a\0.test", "ä.test", "*.test", "a\\.test",
            String(repeating: "a", count: 64) + ".test", String(repeating: "a.", count: 127) + "a",
        ])
    func badNames(_ name: String) {
        #expect(throws: DNSFailure.self) { try server.lookup.txt(name) }
    }

    @Test("Addresses of name servers are read in each common form")
    func servers() throws {
        for (text, host, port) in [
            ("127.0.0.1", "127.0.0.1", 53), ("127.0.0.1:8053", "127.0.0.1", 8053), ("[::1]", "::1", 53),
            ("[::1]:8053", "::1", 8053), ("ns.example.com:5353", "ns.example.com", 5353),
        ] {
            let server = try DNSServer(text)
            #expect(server.host == host && Int(server.port) == port)
        }
        for text in ["", ":53", "a:", "a:0", "a:65536", "::1", "[::1", "[::1]53", "[a]:53", "a b:53", "a\0:53"] {
            #expect(throws: DNSFailure.self) { try DNSServer(text) }
        }
        let file = "# nameserver 9.9.9.9\nsearch a b\nnameserver  192.0.2.1 \nnameserver\tfe80::1%eth0\nnameserver\n"
        #expect(DNSServer.named(in: file).map(\.host) == ["192.0.2.1", "fe80::1%eth0"])
        #expect(DNSServer.named(in: "").map(\.description) == ["127.0.0.1:53"])
    }
}
