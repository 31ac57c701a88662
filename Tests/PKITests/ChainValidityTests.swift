import Foundation
import Testing

@testable import PKI

/// Chains whose certificates have different validities, compared with the results of `openssl verify`.
///
/// There are a leaf of 90 days, the CAs `lower` and `upper`, and a root that an older root has signed too. Each CA
/// certificate comes in four forms: valid for long, expired, not yet valid, or expiring before the leaf.
@Suite struct ChainValidityTests {
    private enum Form: CaseIterable {
        case long, over, future, early

        /// The validity in days from now.
        var days: (from: Int64, to: Int64) {
            switch self {
            case .long: (-1000, 3650)
            case .over: (-1000, -1)
            case .future: (1, 3650)
            case .early: (-1000, 30)
            }
        }
    }

    private static let later = testNow + 60 * 86400

    private let leaf: Certificate
    private let leafKey: PrivateKey
    private let lower: [Form: Certificate]
    private let lowerTwin: [Form: Certificate]
    private let upper: [Form: Certificate]
    private let upperTwin: [Form: Certificate]
    /// The root's name and key, signed by the older root.
    private let cross: [Form: Certificate]
    private let root: [Form: Certificate]
    private let oldRoot: Certificate

    init() throws {
        func certificate(
            _ name: String, _ key: PrivateKey, from issuer: Certificate?, _ signer: PrivateKey, days: (Int64, Int64)
        ) throws -> Certificate {
            try CertificateTemplate(
                commonName: name, issuer: issuer, publicKeyDER: key.publicKeyDER(), notBefore: testNow + days.0 * 86400,
                notAfter: testNow + days.1 * 86400,
                extensions: name == "leaf"
                    ? [.endEntity, .names([.dns("leaf.test")], isCritical: false)]
                    : [.authority(pathLength: 5), .usage([.keyCertSign, .cRLSign])]
            ).signed(by: signer)
        }
        func forms(_ name: String, _ key: PrivateKey, from issuer: Certificate?, _ signer: PrivateKey) throws
            -> [Form: Certificate]
        {
            Dictionary(
                uniqueKeysWithValues: try Form.allCases.map {
                    ($0, try certificate(name, key, from: issuer, signer, days: $0.days))
                })
        }
        let keys = try (0..<5).map { _ in try PrivateKey.generate(.ecdsaP256) }
        leafKey = keys[4]
        oldRoot = try certificate("old", keys[0], from: nil, keys[0], days: Form.long.days)
        root = try forms("root", keys[1], from: nil, keys[1])
        cross = try forms("root", keys[1], from: oldRoot, keys[0])
        upper = try forms("upper", keys[2], from: root[.long], keys[1])
        upperTwin = try forms("upper", keys[2], from: root[.long], keys[1])
        lower = try forms("lower", keys[3], from: upper[.long], keys[2])
        lowerTwin = try forms("lower", keys[3], from: upper[.long], keys[2])
        leaf = try certificate("leaf", keys[4], from: lower[.long], keys[3], days: (-1, 90))
    }

    /// The results of `openssl verify` for the leaf, with each of these sets of CA certificates.
    private func verdicts(on sets: [[Certificate]], trusting root: Certificate, at time: Int64) throws -> [Bool] {
        let folder = try Folder()
        let leafFile = try folder.write(leaf.pem, "leaf")
        let rootFile = try folder.write(root.pem, "root")
        var script = ""
        for (index, set) in sets.enumerated() {
            // When OpenSSL has chosen a root, it does not try other certificates. So roots come last.
            let inOrder = set.filter { !$0.isSelfIssued } + set.filter(\.isSelfIssued)
            let file = try folder.write(inOrder.map(\.pem).joined(), "\(index)")
            let beside = set.isEmpty ? "" : "-untrusted '\(file)'"
            script +=
                "openssl verify -attime \(time) -trusted '\(rootFile)' \(beside) '\(leafFile)' >/dev/null 2>&1; echo $?\n"
        }
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = [try folder.write(script, "script")]
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let verdicts = text.split(separator: "\n").map { $0 == "0" }
        try #require(verdicts.count == sets.count && verdicts.contains(true) && verdicts.contains(false))
        return verdicts
    }

    /// A set of CA certificates, and the chain that was made from it.
    private struct Outcome {
        let given: [Certificate]
        let shown: [Certificate]
    }

    /// All sets with at most one certificate from each list, in a different order each time. Sets with a gap must be
    /// refused.
    private func outcomes(of lists: [[Certificate]]) throws -> [Outcome] {
        var sets: [[Certificate]] = [[]]
        for list in lists { sets = sets.flatMap { set in [set] + list.map { set + [$0] } } }
        var outcomes: [Outcome] = []
        for (number, set) in sets.enumerated() {
            let hasLower = set.contains { $0.subject == "lower" }
            let hasUpper = set.contains { $0.subject == "upper" }
            let isGap = hasUpper && !hasLower || set.contains { $0.subject == "root" } && !(hasLower && hasUpper)
            var mixed = [leaf] + set
            for position in mixed.indices { mixed.swapAt(position, (position * 7 + number) % mixed.count) }
            guard !isGap else {
                #expect(throws: PKIError.self) { try CertificateChain(certificates: mixed, now: testNow) }
                continue
            }
            let chain = try CertificateChain(certificates: mixed, now: testNow)
            #expect(chain.leaf == leaf)
            #expect(zip(chain.certificates, chain.certificates.dropFirst()).allSatisfy { $0.isIssued(by: $1) })
            #expect(Set(chain.certificates + chain.leftOut) == Set(mixed))
            #expect(chain.expiresAt == chain.certificates.map(\.notAfter).min())
            outcomes.append(Outcome(given: set, shown: chain.certificates))
        }
        return outcomes
    }

    private func isValid(_ certificate: Certificate) -> Bool {
        certificate.notBefore <= testNow && testNow < certificate.notAfter
    }

    /// The quality of a certificate: 0 if it is expired or not yet valid, 1 if it expires before the leaf, 2 otherwise.
    private func rank(_ certificate: Certificate) -> Int {
        isValid(certificate) ? (certificate.notAfter < leaf.notAfter ? 1 : 2) : 0
    }

    @Test(
        "With any mix of intermediates, cross-signs and roots, the chain we send verifies if one exists"
    )
    func crossSign() throws {
        let all = try outcomes(of: [
            Array(lower.values), Array(upper.values), Array(cross.values),
            [root[.long], root[.over]].compactMap(\.self),
        ])
        #expect(all.count == 245)
        for outcome in all where outcome.given.count > 2 {
            // Of cross-signed certificate and root, the chain must have the better one. It may lack both if the better
            // one is invalid and the certificates below are valid.
            let tops = outcome.given.filter { $0.subject == "root" }
            let best = tops.map(rank).max() ?? 0
            if let top = outcome.shown.first(where: { $0.subject == "root" }) {
                #expect(rank(top) == best)
                #expect(isValid(top) || !top.isSelfIssued && outcome.shown.contains { $0 != top && !isValid($0) })
                if tops.count == 2, Set(tops.map(rank)).count == 1 { #expect(!top.isSelfIssued) }
            } else {
                #expect(!tops.contains(where: isValid))
            }
        }
        try compare(all, trusting: #require(root[.long]), at: testNow)
        try compare(
            all.filter { !$0.given.contains { $0.notBefore > testNow } }, trusting: #require(root[.long]),
            at: Self.later)
        // Clients that know only the older root need the cross-signed certificate. Only a root that lasts longer may
        // replace it.
        try compare(
            all.filter { outcome in
                let tops = outcome.given.filter { $0.subject == "root" }
                return tops.filter(\.isSelfIssued).allSatisfy { root in
                    tops.allSatisfy { $0.isSelfIssued || rank($0) >= rank(root) }
                }
            }, trusting: oldRoot, at: testNow)
    }

    @Test("With two forms of each intermediate, the chain we send verifies and lasts longest")
    func twins() throws {
        let forms: [Form] = [.long, .over, .early]
        let all = try outcomes(of: [
            forms.compactMap { lower[$0] }, Form.allCases.compactMap { lowerTwin[$0] }, forms.compactMap { upper[$0] },
            Form.allCases.compactMap { upperTwin[$0] },
        ])
        #expect(all.count > 250)
        for outcome in all {
            let best = { subject in outcome.given.filter { $0.subject == subject }.map(rank).max() }
            let shown = { subject in outcome.shown.first { $0.subject == subject }.map(rank) }
            #expect(shown("lower") == best("lower"))
            // Invalid certificates at the end of a valid chain are left out.
            let isCut = best("upper") == 0 && best("lower") != 0
            #expect(shown("upper") == (isCut ? nil : best("upper")))
        }
        try compare(all, trusting: #require(root[.long]), at: testNow)
    }

    @Test("An invalid certificate above a valid chain is left out, but not one inside the chain")
    func tail() throws {
        let sets: [([Certificate?], shown: Int)] = [
            // The invalid certificate is at the end, alone or below other expired ones.
            ([lower[.long], upper[.over]], 1), ([lower[.long], upper[.future]], 1),
            ([lower[.early], upper[.long], cross[.over]], 2), ([lower[.long], upper[.long], cross[.future]], 2),
            ([lower[.long], upper[.over], cross[.over]], 1), ([lower[.long], upper[.over], root[.over]], 1),
            // The invalid certificate is right above the leaf, or below a valid one.
            ([lower[.over]], 1), ([lower[.over], upper[.over]], 2), ([lower[.over], upper[.long]], 2),
            ([lower[.long], upper[.over], cross[.long]], 3), ([lower[.long], upper[.over], root[.long]], 3),
            ([lower[.long], upper[.long], cross[.over], oldRoot], 4), ([lower[.over], upper[.long], cross[.over]], 3),
        ]
        for (set, shown) in sets {
            let given = [leaf] + set.compactMap(\.self)
            let chain = try CertificateChain(certificates: given, now: testNow)
            #expect(chain.certificates == Array(given[...shown]))
            #expect(chain.leftOut == Array(given[(shown + 1)...]))
            #expect(chain.expiresAt == chain.certificates.map(\.notAfter).min())
            // A chain that is already in order is not changed.
            #expect(try CertificateChain(pem: Array(chain.pem.utf8)).certificates == chain.certificates)
        }
    }

    private func compare(_ outcomes: [Outcome], trusting root: Certificate, at time: Int64) throws {
        let sets = Array(Set(outcomes.flatMap { [Set($0.given), Set($0.shown.dropFirst())] }))
        let verdicts = Dictionary(
            uniqueKeysWithValues: zip(sets, try verdicts(on: sets.map { Array($0) }, trusting: root, at: time)))
        for outcome in outcomes {
            let (given, shown) = (verdicts[Set(outcome.given)], verdicts[Set(outcome.shown.dropFirst())])
            if given == false || shown == true { continue }
            let names = [outcome.given, outcome.shown].map { certificates in
                certificates.map { "\($0.subject) until \($0.notAfter - testNow)" }
            }
            Issue.record("of \(names[0]) is shown \(names[1])")
        }
    }

    @Test("The order of the certificates in a file makes no difference")
    func orders() throws {
        let sets: [[Certificate?]] = [
            [lower[.long], upper[.long], cross[.over], root[.long]],
            [lower[.future], lowerTwin[.early], upper[.early], upperTwin[.long]],
        ]
        for set in sets.map({ [leaf] + $0.compactMap(\.self) }) {
            let expected = try CertificateChain(certificates: set, now: testNow)
            for order in Self.permutations(of: set) {
                let chain = try CertificateChain(certificates: order, key: leafKey, now: testNow)
                #expect(chain.certificates == expected.certificates)
            }
        }
    }

    private static func permutations(of list: [Certificate]) -> [[Certificate]] {
        guard let first = list.first else { return [[]] }
        return permutations(of: Array(list.dropFirst())).flatMap { rest in
            (0...rest.count).map { rest[..<$0] + [first] + rest[$0...] }
        }
    }

    @Test("A CA that ends hours before its leaf counts as lasting as long, one that ends days before does not")
    func toleratedEnds() throws {
        let (upperKey, leafKey) = try (PrivateKey.generate(.ecdsaP256), PrivateKey.generate(.ecdsaP256))
        let authority = try CertificateAuthority.makeRoot(commonName: "a", now: testNow, lifetimeSeconds: 90 * 86400)
        func made(_ name: String, _ key: PrivateKey, days: Int64, hours: Int64) throws -> Certificate {
            try CertificateTemplate(
                commonName: name, issuer: authority.certificate, publicKeyDER: key.publicKeyDER(),
                notBefore: testNow, notAfter: testNow + days * 86400 + hours * 3600, extensions: [.endEntity]
            ).signed(by: authority.key)
        }
        for (days, hours, isEarly) in [(90, 0, false), (91, 0, false), (91, 1, true), (1000, 0, true)]
            as [(Int64, Int64, Bool)]
        {
            let leaf = try made("leaf", leafKey, days: days, hours: hours)
            #expect(authority.certificate.endsBefore(leaf) == isEarly)
        }
        // For a leaf of 20 hours, the limit is less than a day.
        let hourly = try made("upper", upperKey, days: 0, hours: 20)
        #expect(try made("x", leafKey, days: 0, hours: 17).endsBefore(hourly))
        #expect(try !made("x", leafKey, days: 0, hours: 19).endsBefore(hourly))
    }

    @Test("Many CAs that have signed each other cost little, and the chain ends in a root")
    func mesh() throws {
        let keys = try (0..<9).map { _ in try PrivateKey.generate(.ecdsaP256) }
        func certificate(_ subject: Int, from issuer: Int, _ parent: Certificate?, end: Int64) throws -> Certificate {
            try CertificateTemplate(
                commonName: "ca\(subject)", issuer: parent, publicKeyDER: keys[subject].publicKeyDER(),
                notBefore: testNow - 86400, notAfter: testNow + end, extensions: [.authority(pathLength: 9)]
            ).signed(by: keys[issuer])
        }
        let roots = try (0..<4).map { try certificate($0, from: $0, nil, end: 100 * 86400) }
        var all = [roots[0]]
        for subject in 0..<4 {
            for issuer in 0..<4 where issuer != subject {
                all.append(
                    try certificate(subject, from: issuer, roots[issuer], end: Int64(subject * 10 + issuer) * 86400))
            }
        }
        let leaf = try certificate(8, from: 3, roots[3], end: 90 * 86400)
        let chain = try CertificateChain(certificates: all + [leaf], now: testNow)
        #expect(chain.leaf == leaf || chain.certificates.count > 1)
        #expect(Set(chain.certificates.map(\.publicKeyDER)).count == chain.certificates.count)
    }
}
