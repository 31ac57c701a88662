import COpenSSL
import Foundation
import Testing

@testable import PKI

/// What certificates of clients come to: judged by themselves, in handshakes, and by OpenSSL's own tool.
@Suite struct PeerTrustTests {
    private static let rows = Result { try PeerTable().rows }

    @Test("Each certificate of the table gets its verdict")
    func verdicts() throws {
        let rows = try Self.rows.get()
        #expect(rows.count >= 160)
        for row in rows {
            let trust = try PeerTrust(rules: row.rules, now: { testNow })
            let refusal = trust.refusal(of: row.chain.map(\.der))
            #expect(refusal?.reason == row.reason, "\(row.title): \(refusal?.description ?? "taken")")
            if row.reason != nil {
                #expect(refusal?.depth == row.depth, "\(row.title)")
                #expect(refusal?.certificate?.fingerprint == Digest.sha256Text(row.chain[0].der), "\(row.title)")
            }
        }
    }

    @Test(
        "Each certificate gets the same verdict in a handshake, with an alert that fits",
        arguments: [TLSConnection.Version.v1_2, .v1_3])
    func handshakes(version: TLSConnection.Version) throws {
        for row in try Self.rows.get() where row.versions.contains(version) {
            let result = try PeerHandshake.run(row.chain, by: row.rules, version: version)
            #expect(
                result.refusal?.reason == row.reason,
                "\(row.title): \(result.refusal?.description ?? "\(result.outcome)")")
            #expect(result.outcome.isComplete == (row.reason == nil), "\(row.title)")
            #expect(result.certificate == (row.reason == nil ? row.chain[0].der : nil), "\(row.title)")
            if let reason = row.reason {
                #expect(result.refusal?.depth == row.depth, "\(row.title)")
                let alert = result.outcome.clientFailure?.reason
                #expect(alert == Self.alert(for: reason), "\(row.title): \(alert ?? "none")")
            }
        }
    }

    private static func alert(for reason: PeerRefusal.Reason) -> String {
        switch reason {
        case .expired: "sslv3 alert certificate expired"
        case .revoked: "sslv3 alert certificate revoked"
        case .unknownAuthority, .selfSigned, .chainTooLong, .pathLength: "tlsv1 alert unknown ca"
        case .notAnAuthority: "tlsv1 alert unknown ca"
        case .wrongPurpose: "sslv3 alert unsupported certificate"
        case .badSignature: "tlsv1 alert decrypt error"
        case .listOverdue, .listForeign, .nameConstraint, .unknownExtension: "sslv3 alert certificate unknown"
        default: "sslv3 alert bad certificate"
        }
    }

    @Test("Where the rules are the same, openssl verify says the same")
    func tool() throws {
        let rows = try Self.rows.get().filter { $0.tool != nil }
        let folder = try Folder()
        var script = "cd '\(folder.path)'\n"
        for (number, row) in rows.enumerated() {
            _ = try folder.write(row.chain[0].pem, "\(number).leaf")
            _ = try folder.write(row.chain.dropFirst().map(\.pem).joined(), "\(number).chain")
            _ = try folder.write(row.trusted.map(\.pem).joined(), "\(number).root")
            _ = try folder.write(row.lists.map { PEM.text("X509 CRL", $0) }.joined(), "\(number).lists")
            // Lists of issuers that have none would be missing.
            let lists =
                row.lists.isEmpty
                ? "" : "-CRLfile \(number).lists -crl_check\(row.lists.count > 1 ? "_all -crl_check" : "")"
            let chain = row.chain.count > 1 ? "-untrusted \(number).chain" : ""
            script +=
                "openssl verify -attime \(testNow) -purpose sslclient -partial_chain -auth_level 2 -no-CApath -no-CAstore"
                + " -CAfile \(number).root \(chain) \(lists) \(number).leaf >\(number).said 2>&1; echo $?\n"
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
        try #require(verdicts.count == rows.count)
        for (number, row) in rows.enumerated() where verdicts[number] != row.tool {
            let said = try String(contentsOfFile: "\(folder.path)/\(number).said", encoding: .utf8)
            Issue.record("\(row.title): openssl says \(said)")
        }
    }
}
