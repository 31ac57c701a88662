@testable import PKI

/// Rows about names, and about rules without chain verification.
extension PeerTable {
    func addNames() throws {
        let root = try authority("root")
        let none = Tool.hasNoSuchRule
        func leaf(_ names: [(UInt8, [UInt8])]) throws -> [Forge.Made] {
            [try self.leaf(root, names: nil, [.endEntity, .names(names)])]
        }
        let all = [
            try self.leaf(root, names: "DNS:a.clients.test,URI:spiffe://a.test/ns/b/sa/c,IP:10.0.0.5,email:ops@a.test")
        ]
        for pattern in [
            "a.clients.test", "*.clients.test", "spiffe://a.test/ns/*/sa/c", "10.0.0.5", "ops@a.test", "A.CLIENTS.TEST",
        ] {
            try add(
                "names of which \(pattern) is required", all, trusting: [root], Settings(names: [pattern, "x.test"]))
        }
        for pattern in [
            "clients.test", "*.test", "*.a.clients.test", "spiffe://a.test/ns/*", "10.0.0.6", "ops@b.test",
            "spiffe://b.test/ns/b/sa/c",
        ] {
            try add(
                "names of which \(pattern) is required and missing", all, trusting: [root], Settings(names: [pattern]),
                reason: .missingName, tool: none)
        }
        try add(
            "a wildcard for any name", try leaf([(2, Array("*.clients.test".utf8))]), trusting: [root],
            Settings(names: ["*.clients.test", "a.clients.test"]), reason: .missingName, tool: none)
        try add(
            "a name with a NUL", try leaf([(2, Array("a.clients.test\0.evil.test".utf8))]), trusting: [root],
            Settings(names: ["*.clients.test", "a.clients.test"]), reason: .missingName, tool: none)
        try add(
            "a name that ends with a NUL", try leaf([(2, Array("a.clients.test\0".utf8))]), trusting: [root],
            Settings(names: ["*.clients.test", "a.clients.test"]), reason: .missingName, tool: none)
        try add(
            "a name with a NUL beside a good one", try leaf([(2, [0x61, 0]), (2, Array("a.test".utf8))]),
            trusting: [root],
            Settings(names: ["a.test"]))
        try add(
            "a host name as a URI", try leaf([(6, Array("a.test".utf8)), (1, Array("a.test".utf8))]), trusting: [root],
            Settings(names: ["a.test"]), reason: .missingName, tool: none)
        try add(
            "an address in text", try leaf([(2, Array("10.0.0.5".utf8))]), trusting: [root],
            Settings(names: ["10.0.0.5"]), reason: .missingName, tool: none)
        try add(
            "an address of five bytes", try leaf([(7, [10, 0, 0, 5, 0])]), trusting: [root],
            Settings(names: ["10.0.0.5"]), reason: .missingName, tool: none)
        try add(
            "no name but the common one", [try self.leaf(root, names: nil)], trusting: [root],
            Settings(names: ["client"]), reason: .missingName, tool: none)
        try add("no name but the common one, and none required", [try self.leaf(root, names: nil)], trusting: [root])
        try add(
            "a thousand names and one", try leaf(Array(repeating: (2, [0x61]), count: 1001)), trusting: [root],
            Settings(names: ["a"]), reason: .unreadable, tool: none)
        let issuer = try authority("inter", from: root, [.authority, .signsCertificates, .names("DNS:a.clients.test")])
        try add(
            "a name of the issuer's alone", [try self.leaf(issuer), issuer], trusting: [root],
            Settings(names: ["a.clients.test"]),
            reason: .missingName, tool: none)
    }

    func addUnverified() throws {
        let root = try authority("root")
        let stranger = try authority("stranger")
        var settings = Settings(names: ["client.test"], verifiesChain: false)
        let strange = try leaf(stranger)
        try add("a stranger's leaf, unverified", [strange], trusting: [root], settings, tool: .says(false))
        try add(
            "a stranger's leaf with its root, unverified", [strange, stranger], trusting: [root], settings,
            tool: .says(false))
        try add("a self-signed leaf, unverified", [try leaf(nil)], trusting: [], settings, tool: .hasNoSuchRule)
        try add(
            "a leaf signed by another in the root's name, unverified", [try leaf(root, signer: stranger.key)],
            trusting: [root],
            settings, tool: .says(false))
        try add(
            "an expired leaf, unverified", [try leaf(stranger, days: (-9, -1))], trusting: [root], settings,
            reason: .expired)
        try add(
            "a leaf for the other end, unverified", [try leaf(stranger, [.endEntity, forTheOtherEnd])],
            trusting: [root],
            settings,
            reason: .wrongPurpose)
        settings.versions = [.v1_2]
        try add(
            "a weak leaf, unverified", [try leaf(stranger, kind: .rsa(1024))], trusting: [root], settings,
            reason: .weakKey)
        settings.versions = [.v1_2, .v1_3]
        try add(
            "another name, unverified", [try leaf(stranger, names: "DNS:x.test")], trusting: [root], settings,
            reason: .missingName,
            tool: .hasNoSuchRule)
        let revoked = try leaf(root)
        try add(
            "a leaf that is revoked, unverified", [revoked], trusting: [root],
            lists: [try Forge.list(of: root, revoking: [revoked.serial])], settings, reason: .revoked)
        try add(
            "a critical extension that is unknown, unverified",
            [
                try leaf(
                    nil,
                    [
                        .endEntity,
                        .raw(
                            CertificateExtension(identifier: "1.2.3.4.5", isCritical: true, value: [0x05, 0x00])),
                    ])
            ], trusting: [], settings,
            reason: .unknownExtension, tool: .hasNoSuchRule)
    }
}
