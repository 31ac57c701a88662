import COpenSSL

@testable import PKI

/// Rows about the strength of keys and signatures, and about extensions.
extension PeerTable {
    func addStrengths() throws {
        let root = try authority("root")
        for kind: Forge.Kind in [.rsa(2048), .ec("P-384"), .ec("P-521"), .ed25519] {
            try add("a leaf of \(kind)", [try leaf(root, kind: kind)], trusting: [root])
            let strong = try authority("strong", kind: kind)
            try add("a root of \(kind)", [try leaf(strong)], trusting: [strong])
        }
        for (kind, tool) in [
            (.rsa(1024), Tool.same), (.rsa(2047), .says(true)), (.ec("prime192v1"), .same),
            (.ec("secp224r1"), .says(true)),
            (.ec("secp256k1"), .says(true)), (.ec("brainpoolP256r1"), .says(true)),
        ] as [(Forge.Kind, Tool)] {
            let weak = try authority("weak", from: root, kind: kind)
            let weakRoot = try authority("weak root", kind: kind)
            try add(
                "a leaf of \(kind)", [try leaf(root, kind: kind)], trusting: [root], Settings(versions: [.v1_2]),
                reason: .weakKey,
                tool: tool)
            try add(
                "an intermediate of \(kind)", [try leaf(weak), weak], trusting: [root], reason: .weakKey, depth: 1,
                tool: tool)
            try add(
                "a root of \(kind)", [try leaf(weakRoot)], trusting: [weakRoot], reason: .weakKey, depth: 1, tool: tool)
        }
        for hash in Forge.Hash.allCases where hash != .sha256 {
            let (name, tool) = (hash.rawValue, hash == .sha224 ? Tool.says(true) : .same)
            // ECDSA is not defined with MD5.
            let root = try hash == .md5 ? authority("root", kind: .rsa(2048)) : root
            let inter = try authority("inter", from: root, hash: hash)
            try add(
                "a leaf signed with \(name)", [try leaf(root, hash: hash)], trusting: [root], reason: .weakSignature,
                tool: tool)
            try add(
                "an intermediate signed with \(name)", [try leaf(inter), inter], trusting: [root],
                reason: .weakSignature, depth: 1,
                tool: tool)
            try add("an intermediate signed with \(name) that is trusted itself", [try leaf(inter)], trusting: [inter])
            let weakRoot = try authority("weak root", kind: .rsa(2048), hash: hash)
            try add("a root signed with \(name)", [try leaf(weakRoot)], trusting: [weakRoot])
        }
    }

    func addConstraints() throws {
        let root = try authority("root")
        let narrow = try authority(
            "narrow", from: root, [.text(NID_basic_constraints, "critical,CA:TRUE,pathlen:0"), .signsCertificates])
        let below = try authority("below", from: narrow)
        try add("a leaf below a last authority", [try leaf(narrow), narrow], trusting: [root])
        try add(
            "an authority below a last authority", [try leaf(below), below, narrow], trusting: [root],
            reason: .pathLength, depth: 2)
        let named = try authority(
            "named", from: root,
            [
                .authority, .signsCertificates,
                .text(NID_name_constraints, "critical,permitted;DNS:clients.test,excluded;DNS:bad.clients.test"),
            ])
        try add("names that are permitted", [try leaf(named, names: "DNS:a.clients.test"), named], trusting: [root])
        try add(
            "names that are not permitted", [try leaf(named, names: "DNS:a.servers.test"), named], trusting: [root],
            reason: .nameConstraint)
        try add(
            "names that are excluded", [try leaf(named, names: "DNS:bad.clients.test"), named], trusting: [root],
            reason: .nameConstraint)
        let unknown = Forge.Extension.raw(
            CertificateExtension(identifier: "1.2.3.4.5", isCritical: true, value: [0x05, 0x00]))
        let known = Forge.Extension.raw(
            CertificateExtension(identifier: "1.2.3.4.5", isCritical: false, value: [0x05, 0x00]))
        try add(
            "a leaf with a critical extension that is unknown", [try leaf(root, [.endEntity, unknown])],
            trusting: [root],
            reason: .unknownExtension)
        try add("a leaf with another that is unknown", [try leaf(root, [.endEntity, known])], trusting: [root])
        let odd = try authority("odd", from: root, [.authority, .signsCertificates, unknown])
        try add(
            "an intermediate with a critical extension that is unknown", [try leaf(odd), odd], trusting: [root],
            reason: .unknownExtension, depth: 1)
        let none = try leaf(root)
        try add(
            "a leaf that has issued another", [try leaf(none), none], trusting: [root], reason: .notAnAuthority,
            depth: 1)
        let silent = try leaf(root, [.endEntity])
        try add(
            "a leaf that has issued another, and doesn't say what its key is for", [try leaf(silent), silent],
            trusting: [root],
            reason: .notAnAuthority, depth: 1)
        let mute = try authority("mute", from: root, [.authority, .signsHandshakes])
        try add(
            "an authority that may not sign certificates", [try leaf(mute), mute], trusting: [root],
            reason: .notAnAuthority,
            depth: 1)
        let twice = Forge.Extension.names([(2, Array("b.test".utf8))])
        try add(
            "two lists of names", [try leaf(root, [.endEntity, twice])], trusting: [root],
            Settings(names: ["client.test"]),
            reason: .unreadable, tool: .hasNoSuchRule)
    }
}
