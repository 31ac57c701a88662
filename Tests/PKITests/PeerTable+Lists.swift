import COpenSSL

@testable import PKI

/// Rows about revocation lists.
extension PeerTable {
    /// A root, an intermediate below it, and two leaves of the intermediate. The intermediate's list revokes one leaf.
    private struct Listed {
        let root: Forge.Made
        let inter: Forge.Made
        let good: Forge.Made
        let bad: Forge.Made
        let list: [UInt8]
        let rootList: [UInt8]

        init(_ table: PeerTable) throws {
            root = try table.authority("root")
            inter = try table.authority("inter", from: root)
            (good, bad) = (try table.leaf(inter), try table.leaf(inter))
            list = try Forge.list(of: inter, revoking: [1, 2, bad.serial])
            rootList = try Forge.list(of: root, revoking: [1])
        }
    }

    func addLists() throws {
        let listed = try Listed(self)
        let (root, inter, good, bad) = (listed.root, listed.inter, listed.good, listed.bad)
        let badInter = try authority("bad inter", from: root)
        let below = try leaf(badInter)
        let list = listed.list
        let rootList = try Forge.list(of: root, revoking: [badInter.serial])
        let lists = [rootList, list]
        try add("a leaf on no list", [good, inter], trusting: [root], lists: lists)
        try add("a leaf that is revoked", [bad, inter], trusting: [root], lists: lists, reason: .revoked)
        try add(
            "a leaf that is revoked, where expired ones are allowed", [bad, inter], trusting: [root], lists: lists,
            Settings(allowsExpired: true), reason: .revoked)
        try add(
            "an intermediate that is revoked", [below, badInter], trusting: [root], lists: lists, reason: .revoked,
            depth: 1,
            tool: .same)
        try add(
            "a leaf whose issuer has no list", [good, inter], trusting: [root], lists: [rootList], tool: .says(false))
        try add("a leaf whose root has no list", [bad, inter], trusting: [root], lists: [list], reason: .revoked)
        try add(
            "a leaf that is revoked, its issuer trusted itself", [bad], trusting: [inter], lists: [list],
            reason: .revoked)
        try add(
            "an intermediate that is revoked and trusted itself", [below], trusting: [badInter], lists: [rootList],
            reason: .revoked, depth: 1, tool: .says(false))
        try add(
            "a root on its own list", [good, inter], trusting: [root],
            lists: [try Forge.list(of: root, revoking: [root.serial]), list], reason: .revoked, depth: 2)
    }

    func addListTimes() throws {
        let listed = try Listed(self)
        let (root, inter, good, bad) = (listed.root, listed.inter, listed.good, listed.bad)
        let (list, rootList) = (listed.list, listed.rootList)
        let over = try Forge.list(of: inter, revoking: [bad.serial], days: (-20, -1))
        let accepting = Settings(acceptsOverdueLists: true)
        try add(
            "a list that is overdue", [good, inter], trusting: [root], lists: [rootList, over], reason: .listOverdue)
        try add(
            "a list that is overdue, and accepted", [good, inter], trusting: [root], lists: [rootList, over], accepting,
            tool: .says(false))
        try add(
            "a leaf on a list that is overdue", [bad, inter], trusting: [root], lists: [rootList, over], accepting,
            reason: .revoked)
        try add(
            "a list that is overdue, where expired certificates are allowed", [good, inter], trusting: [root],
            lists: [over],
            Settings(allowsExpired: true), reason: .listOverdue)
        let next = try Forge.list(of: inter, revoking: [bad.serial], days: (1, 20))
        try add(
            "a list that is yet to begin", [good, inter], trusting: [root], lists: [rootList, next],
            reason: .listNotYetValid)
        try add(
            "a leaf on a list that is yet to begin", [bad, inter], trusting: [root], lists: [rootList, next],
            reason: .revoked)
        let empty = try Forge.list(of: inter, revoking: [], days: (-3, 7))
        try add(
            "a leaf on the newer of two lists", [bad, inter], trusting: [root], lists: [list, empty], reason: .revoked)
        let newer = try Forge.list(of: inter, revoking: [], days: (0, 7))
        try add("a leaf on the older of two lists", [bad, inter], trusting: [root], lists: [rootList, list, newer])
        try add(
            "a list that is overdue beside a newer one", [bad, inter], trusting: [root], lists: [rootList, newer, over])
        try add(
            "a list that is yet to begin beside another", [good, inter], trusting: [root],
            lists: [rootList, next, try Forge.list(of: inter, revoking: [good.serial])], reason: .revoked)
        let endless = try Forge.list(of: inter, revoking: [bad.serial], days: (-300, nil))
        try add("a list without an end", [good, inter], trusting: [root], lists: [rootList, endless])
    }

    func addListSigners() throws {
        let listed = try Listed(self)
        let (root, inter, good, bad) = (listed.root, listed.inter, listed.good, listed.bad)
        let (list, rootList) = (listed.list, listed.rootList)
        let empty = try Forge.list(of: inter, revoking: [], days: (-3, 7))
        let forged = try Forge.list(of: inter, signer: root.key, revoking: [])
        try add(
            "a list in the issuer's name by another key", [good, inter], trusting: [root], lists: [rootList, forged],
            reason: .listForeign)
        try add(
            "a list in the issuer's name by another key, beside its own", [bad, inter], trusting: [root],
            lists: [forged, list],
            reason: .revoked)
        let stranger = try authority("stranger")
        try add(
            "a list of a stranger", [good, inter], trusting: [root],
            lists: [try Forge.list(of: stranger, revoking: [good.serial])], tool: .says(false))
        let mute = try authority("mute", from: root, [.authority, .text(NID_key_usage, "critical,keyCertSign")])
        try add(
            "a list of an issuer that may not sign lists", [try leaf(mute), mute], trusting: [root],
            lists: [rootList, try Forge.list(of: mute, revoking: [])], reason: .listForeign)
        let edRoot = try authority("ed root", kind: .ed25519)
        let edBad = try leaf(edRoot)
        try add(
            "a list that Ed25519 has signed", [edBad], trusting: [edRoot],
            lists: [try Forge.list(of: edRoot, revoking: [edBad.serial])], reason: .revoked)
        let rsaRoot = try authority("rsa root", kind: .rsa(2048))
        let rsaBad = try leaf(rsaRoot, serial: -77)
        try add(
            "a negative serial on a list that RSA has signed", [rsaBad], trusting: [rsaRoot],
            lists: [try Forge.list(of: rsaRoot, revoking: [-77])], reason: .revoked)
        try add(
            "a positive serial beside a negative one on a list", [try leaf(rsaRoot, serial: 77)], trusting: [rsaRoot],
            lists: [try Forge.list(of: rsaRoot, revoking: [-77])])
        let users = try Forge.list(
            of: inter, revoking: [bad.serial], [.text(NID_issuing_distribution_point, "critical,onlyuser:TRUE")])
        try add(
            "a leaf on a list for leaves", [bad, inter], trusting: [root], lists: [users, empty], reason: .revoked)
    }

    /// Lists for a part of an issuer's certificates, by the kind of certificate or by a distribution point.
    func addListScopes() throws {
        let listed = try Listed(self)
        let (root, inter, good, bad, rootList) = (listed.root, listed.inter, listed.good, listed.bad, listed.rootList)
        func list(_ scope: String, of issuer: Forge.Made, _ serials: [Int], to: Int64? = 7) throws -> [UInt8] {
            try Forge.list(
                of: issuer, revoking: serials, days: (-1, to),
                [.text(NID_issuing_distribution_point, "critical,\(scope)")])
        }
        let authorities = try list("onlyCA:TRUE", of: inter, [])
        let users = try list("onlyuser:TRUE", of: inter, [])
        try add("a leaf on a list for leaves alone", [good, inter], trusting: [root], lists: [rootList, users])
        try add(
            "a leaf, and a list for authorities alone", [good, inter], trusting: [root],
            lists: [rootList, authorities],
            reason: .listMissing)
        try add(
            "a leaf, and lists for leaves and for authorities", [good, inter], trusting: [root],
            lists: [rootList, authorities, users])
        try add(
            "an intermediate, and a list for authorities alone", [good, inter], trusting: [root],
            lists: [try list("onlyCA:TRUE", of: root, []), users])
        try add(
            "an intermediate, and a list for leaves alone", [good, inter], trusting: [root],
            lists: [try list("onlyuser:TRUE", of: root, []), users], reason: .listMissing, depth: 1)
        let over = try list("onlyuser:TRUE", of: inter, [], to: -1)
        try add(
            "an overdue list for leaves", [good, inter], trusting: [root], lists: [rootList, over], reason: .listOverdue
        )
        try add(
            "an overdue list for leaves beside a complete one", [good, inter], trusting: [root],
            lists: [rootList, over, listed.list])
        let (one, two) = ("fullname:URI:http://lists.test/1", "fullname:URI:http://lists.test/2")
        let placed = try leaf(
            inter,
            [
                .endEntity, .signsHandshakes, forPurpose,
                .text(NID_crl_distribution_points, "URI:http://lists.test/0,URI:http://lists.test/1"),
            ])
        let (first, second) = (try list(one, of: inter, [bad.serial]), try list(two, of: inter, []))
        try add("a leaf of a list's point", [placed, inter], trusting: [root], lists: [rootList, first])
        try add(
            "a leaf of another point than the list's", [placed, inter], trusting: [root], lists: [rootList, second],
            reason: .listMissing)
        try add(
            "a leaf of one of two points", [placed, inter], trusting: [root], lists: [rootList, second, first])
        try add(
            "a leaf without a point", [good, inter], trusting: [root], lists: [rootList, first], reason: .listMissing)
        try add(
            "a leaf that is revoked at its point", [placed, inter], trusting: [root],
            lists: [rootList, try list(one, of: inter, [placed.serial])], reason: .revoked)
    }

    /// Several lists of one issuer that were issued at the same time.
    func addListNumbers() throws {
        let listed = try Listed(self)
        let (root, inter, bad, rootList) = (listed.root, listed.inter, listed.bad, listed.rootList)
        func list(_ number: Int?, _ serials: [Int]) throws -> [UInt8] {
            let value = number.map {
                DER.value(tag: 0x02, $0 < 128 ? [UInt8($0)] : [UInt8($0 >> 8), UInt8($0 & 0xFF)])
            }
            return try Forge.list(
                of: inter, revoking: serials,
                value.map { [.raw(CertificateExtension(identifier: "2.5.29.20", isCritical: false, value: $0))] } ?? [])
        }
        for (what, numbers, isRevoked) in [
            ("of the greater number", (9, 8), true), ("of the greater number, which is longer", (300, 255), true),
            ("of the lesser number", (8, 9), false), ("of a number beside one of none", (1, nil), true),
            ("of the same number", (5, 5), true), ("of no number", (nil, nil), true),
        ] as [(String, (Int?, Int?), Bool)] {
            let both = [try list(numbers.0, [bad.serial]), try list(numbers.1, [])]
            for (order, lists) in [("first", both), ("last", Array(both.reversed()))] {
                try add(
                    "a leaf on a list \(what), \(order)", [bad, inter], trusting: [root], lists: [rootList] + lists,
                    reason: isRevoked ? .revoked : nil, tool: .hasNoSuchRule)
            }
        }
    }
}
