import Foundation
import SQLiteState
import State
import Testing

/// The holder of the lease in these tests.
let me = LeaseHolder(machine: "here", scope: "boot", process: 1, startTicks: 2, user: "ops")

let host = ItemID(.host, "app.example.com")

func certificate(_ name: String, key: [UInt8] = [1, 2, 3]) -> StoredCertificate {
    StoredCertificate(
        name: name, owner: .file, record: Array("{}".utf8),
        facts: CertificateFacts(
            domains: ["a.example.com", "*.example.com"], source: .localCA, issuerCommonName: "A CA", notBefore: 1,
            expiresAt: 2, autoRenew: true, createdAt: 3, fingerprint: "ab", sourceDigest: [9],
            directory: "https://ca.test/dir"),
        chain: Array("PEM".utf8), sealedKey: key)
}

func challenge(_ token: String) throws -> ACMEChallenge {
    try #require(
        ACMEChallenge(
            kind: token == "alpn" ? .tlsALPN01 : .http01, token: token, keyAuthorization: "\(token).thumb-print",
            domain: "a.example.com", createdAt: 7))
}

/// Gives a file the mode of a state's files, 0600.
func makePrivate(_ path: String) throws {
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
}

extension SQLiteStateStore {
    /// Opens a state, or creates it, with its lease held by `me`.
    static func leased(_ path: String) throws -> SQLiteStateStore {
        let store = try SQLiteStateStore(path: path)
        #expect(try store.acquireLease(.apply, for: me, now: 0, isFree: { _ in false }) == .acquired)
        return store
    }

    /// The changes since a revision, in the order of `readChanges`. Nil if they are not known.
    func changes(since revision: Int) throws -> [StateChange]? {
        var changes: [StateChange] = []
        return try readChanges(since: revision) { changes.append($0) } == nil ? nil : changes
    }
}
