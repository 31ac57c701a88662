import COpenSSL
import Foundation
import Testing

@testable import PKI

/// Chains of clients and servers, judged by PKI alone, in handshakes, and by the openssl command.
@Suite struct PeerTrustTests {
    private static let rows = Result { try PeerTable(.client).rows }
    private static let serverRows = Result { try PeerTable(.server).rows }

    private static func rows(_ purpose: PeerRules.Purpose) throws -> [PeerTable.Row] {
        try (purpose == .client ? rows : serverRows).get()
    }

    @Test(
        "Each certificate of the table is accepted or refused as expected",
        arguments: [PeerRules.Purpose.client, .server])
    func verdicts(purpose: PeerRules.Purpose) throws {
        let rows = try Self.rows(purpose)
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
        "Each certificate gets the same verdict in a handshake, with the right alert",
        arguments: [TLSConnection.Version.v1_2, .v1_3])
    func handshakes(version: TLSConnection.Version) throws {
        for row in try Self.rows(.client) where row.versions.contains(version) {
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

    @Test(
        "Each server's certificate gets the same verdict in a handshake",
        arguments: [TLSConnection.Version.v1_2, .v1_3])
    func serverHandshakes(version: TLSConnection.Version) throws {
        let ends = try PeerHandshake.Ends()
        var judged = 0
        for row in try Self.rows(.server) where row.versions.contains(version) {
            let (outcome, refusal) = try PeerHandshake.run(
                server: row.chain, by: row.rules, version: version, ends: ends)
            #expect(outcome.isComplete == (row.reason == nil), "\(row.title): \(outcome)")
            // OpenSSL's server can't use some certificates, and it never sees those for which the client offers no
            // algorithm.
            guard outcome.serverFailure == nil || refusal != nil else {
                #expect(row.reason != nil, "\(row.title): \(outcome)")
                continue
            }
            judged += 1
            #expect(refusal?.reason == row.reason, "\(row.title): \(refusal?.description ?? "\(outcome)")")
            #expect(refusal == nil || refusal?.depth == row.depth, "\(row.title)")
        }
        #expect(judged >= 140)
    }

    private static func alert(for reason: PeerRefusal.Reason) -> String {
        switch reason {
        case .expired: "sslv3 alert certificate expired"
        case .revoked: "sslv3 alert certificate revoked"
        case .unknownAuthority, .selfSigned, .chainTooLong, .pathLength: "tlsv1 alert unknown ca"
        case .notAnAuthority: "tlsv1 alert unknown ca"
        case .wrongPurpose: "sslv3 alert unsupported certificate"
        case .badSignature: "tlsv1 alert decrypt error"
        case .listOverdue, .listForeign, .listMissing, .listNotYetValid: "sslv3 alert certificate unknown"
        case .nameConstraint, .unknownExtension: "sslv3 alert certificate unknown"
        default: "sslv3 alert bad certificate"
        }
    }

    @Test(
        "openssl verify agrees where it has the same rules",
        arguments: [PeerRules.Purpose.client, .server])
    func tool(purpose: PeerRules.Purpose) throws {
        let rows = try Self.rows(purpose).filter { $0.tool != nil }
        let name = purpose == .client ? "sslclient" : "sslserver"
        let folder = try Folder()
        var script = "cd '\(folder.path)'\n"
        for (number, row) in rows.enumerated() {
            _ = try folder.write(row.chain[0].pem, "\(number).leaf")
            _ = try folder.write(row.chain.dropFirst().map(\.pem).joined(), "\(number).chain")
            _ = try folder.write(row.trusted.map(\.pem).joined(), "\(number).root")
            _ = try folder.write(row.lists.map { PEM.text("X509 CRL", $0) }.joined(), "\(number).lists")
            // -crl_check_all needs a list of each issuer, so it is used only for rows with several lists.
            let lists =
                row.lists.isEmpty
                ? "" : "-CRLfile \(number).lists -crl_check\(row.lists.count > 1 ? "_all -crl_check" : "")"
            let chain = row.chain.count > 1 ? "-untrusted \(number).chain" : ""
            script +=
                "openssl verify -attime \(testNow) -purpose \(name) -partial_chain -auth_level 2 -no-CApath -no-CAstore"
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
