import COpenSSL

@testable import PKI

/// Rows about issuers, validity and key usages.
extension PeerTable {
    func addChains() throws {
        let root = try authority("root")
        let inter = try authority("inter", from: root)
        let lower = try authority("lower", from: inter)
        let (leaf, deep, deeper) = (try leaf(root), try leaf(inter), try leaf(lower))
        try add("a leaf of a root", [leaf], trusting: [root])
        try add("a leaf, its root sent too", [leaf, root], trusting: [root])
        try add("an intermediate between", [deep, inter], trusting: [root])
        try add("two intermediates between", [deeper, lower, inter], trusting: [root])
        try add("intermediates in any order", [deeper, inter, lower], trusting: [root])
        try add("a missing intermediate", [deep], trusting: [root], reason: .unknownAuthority)
        try add(
            "a missing intermediate above another", [deeper, lower], trusting: [root], reason: .unknownAuthority,
            depth: 1)
        try add("an intermediate that is trusted itself", [deep], trusting: [inter])
        try add("an intermediate that is trusted, and sent", [deep, inter], trusting: [inter])
        try add("a leaf beside an intermediate that is trusted", [leaf], trusting: [inter], reason: .unknownAuthority)
        try add("a leaf that is trusted itself", [deep], trusting: [deep])
        try add("a leaf that is trusted itself, its issuer sent too", [deep, inter], trusting: [deep])
        let twin = try authority("root")
        try add("another root of the same name", [leaf], trusting: [twin], reason: .unknownAuthority)
        try add("both roots of the same name", [leaf], trusting: [twin, root])
        let stranger = try authority("stranger")
        try add("a root that is not trusted", [try self.leaf(stranger)], trusting: [root], reason: .unknownAuthority)
        try add(
            "a root that is not trusted, and sent", [try self.leaf(stranger), stranger], trusting: [root],
            reason: .selfSigned, depth: 1)
        let selfSigned = try self.leaf(nil)
        try add("a self-signed leaf", [selfSigned], trusting: [root], reason: .selfSigned)
        try add("a self-signed leaf that is trusted itself", [selfSigned], trusting: [selfSigned])
        try add(
            "a leaf signed by a stranger in the root's name", [try self.leaf(root, signer: stranger.key)],
            trusting: [root],
            reason: .badSignature)
        var chain = [try authority("a0", from: root)]
        for number in 1..<9 { chain.append(try authority("a\(number)", from: chain[number - 1])) }
        try add("ten certificates", [try self.leaf(chain[7])] + chain[..<8].reversed(), trusting: [root])
        try add(
            "eleven certificates", [try self.leaf(chain[8])] + chain.reversed(), trusting: [root],
            reason: .chainTooLong,
            depth: 9, tool: .says(true))
        try add("a chain, and what is no part of it", [deep, stranger, inter, leaf], trusting: [root])
    }

    func addTimes() throws {
        let root = try authority("root")
        let inter = try authority("inter", from: root)
        let overInter = try authority("over", from: root, days: (-100, -1))
        let futureInter = try authority("future", from: root, days: (1, 1000))
        let overRoot = try authority("over root", days: (-100, -1))
        let futureRoot = try authority("future root", days: (1, 1000))
        let expired = Settings(allowsExpired: true)
        let rows: [(String, [Forge.Made], Forge.Made, PeerRefusal.Reason, Int)] = [
            ("leaf", [try leaf(inter, days: (-10, -1)), inter], root, .expired, 0),
            ("leaf that ends now", [try leaf(root, days: (-10, 0))], root, .expired, 0),
            ("intermediate", [try leaf(overInter), overInter], root, .expired, 1),
            ("intermediate that is trusted itself", [try leaf(overInter)], overInter, .expired, 1),
            ("root", [try leaf(overRoot)], overRoot, .expired, 1),
            ("leaf", [try leaf(inter, days: (1, 90)), inter], root, .notYetValid, 0),
            ("intermediate", [try leaf(futureInter), futureInter], root, .notYetValid, 1),
            ("root", [try leaf(futureRoot)], futureRoot, .notYetValid, 1),
        ]
        for (what, chain, trusted, reason, depth) in rows {
            let isOver = reason == .expired
            try add(
                "\(isOver ? "an expired" : "a future") \(what)", chain, trusting: [trusted], reason: reason,
                depth: depth)
            try add(
                "\(isOver ? "an expired" : "a future") \(what), where expired ones are allowed", chain,
                trusting: [trusted],
                expired, reason: isOver ? nil : reason, depth: depth, tool: .says(false))
        }
        try add("a leaf that begins now", [try leaf(root, days: (0, 90))], trusting: [root])
        try add(
            "an expired leaf of a stranger, where expired ones are allowed",
            [try leaf(try authority("stranger"), days: (-10, -1))], trusting: [root], expired, reason: .unknownAuthority
        )
    }

    func addPurposes() throws {
        let root = try authority("root")
        let otherInter = try authority("others", from: root, [.authority, .signsCertificates, forTheOtherEnd])
        let inter = try authority("inter", from: root, [.authority, .signsCertificates, forPurpose])
        func leaf(_ extensions: [Forge.Extension]) throws -> [Forge.Made] { [try self.leaf(root, extensions)] }
        try add(
            "a leaf for the other end alone", try leaf([.endEntity, forTheOtherEnd]), trusting: [root],
            reason: .wrongPurpose)
        try add(
            "a leaf for both ends", try leaf([.endEntity, .text(NID_ext_key_usage, "serverAuth,clientAuth")]),
            trusting: [root])
        try add("a leaf that doesn't say what it is for", try leaf([.endEntity]), trusting: [root])
        try add("a leaf without any extension but its name", try leaf([]), trusting: [root])
        try add(
            "a leaf for anything", try leaf([.endEntity, .text(NID_ext_key_usage, "anyExtendedKeyUsage")]),
            trusting: [root],
            reason: .wrongPurpose)
        try add(
            "a leaf for e-mail", try leaf([.endEntity, .text(NID_ext_key_usage, "emailProtection")]), trusting: [root],
            reason: .wrongPurpose)
        try add(
            "a key that may not sign",
            // With TLS 1.2, servers could use the key for decryption.
            try leaf([
                .endEntity, .text(NID_key_usage, purpose == .client ? "critical,keyEncipherment" : "dataEncipherment"),
                forPurpose,
            ]),
            trusting: [root], reason: .wrongPurpose)
        try add(
            "an intermediate for the other end alone", [try self.leaf(otherInter), otherInter], trusting: [root],
            reason: .wrongPurpose, depth: 1)
        try add("an intermediate for this end", [try self.leaf(inter), inter], trusting: [root])
        try add(
            "an authority in place of a leaf, which may not sign handshakes", [try authority("inter", from: root)],
            trusting: [root], reason: .wrongPurpose)
        try add(
            "an authority in place of a leaf, which may sign all", [try authority("inter", from: root, [.authority])],
            trusting: [root])
    }
}
