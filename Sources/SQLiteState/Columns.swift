import GRDB
import GRDBSQLite
import State

/// Reads the columns of a statement's current row, by number.
///
/// The columns are read directly from SQLite's memory: GRDB's `Row` takes twice the time, which matters with 100,000
/// hosts and certificates.
struct Columns {
    private let statement: Statement

    /// Runs a statement and calls `body` for each row. The columns are valid only during `body`.
    static func forEach(
        _ database: Database, _ sql: String, _ arguments: StatementArguments = [], _ body: (Columns) throws -> Void
    ) throws {
        let statement = try database.cachedStatement(sql: sql)
        let rows = try Row.fetchCursor(statement, arguments: arguments)
        while try rows.next() != nil { try body(Columns(statement: statement)) }
    }

    // This is safe, since `statement` keeps the SQLite statement alive.
    func integer(_ index: CInt) -> Int64 { unsafe sqlite3_column_int64(statement.sqliteStatement, index) }

    func text(_ index: CInt) -> String { unsafe withBytes(index) { unsafe String(decoding: $0, as: UTF8.self) } }

    func bytes(_ index: CInt) -> [UInt8] { unsafe withBytes(index) { unsafe Array($0) } }

    /// The words of a text that has spaces between words, such as the names of a certificate.
    func words(_ index: CInt) -> [String] {
        unsafe withBytes(index) { bytes in
            unsafe bytes.split(separator: UInt8(ascii: " ")).map { unsafe String(decoding: $0, as: UTF8.self) }
        }
    }

    /// Calls `body` with the bytes of a text or blob. SQLite keeps the bytes valid until the statement's next step,
    /// which happens after `body`.
    private func withBytes<Value>(_ index: CInt, _ body: (UnsafeBufferPointer<UInt8>) -> Value) -> Value {
        // This is safe: SQLite returns the length of the value that the first call returned, if the length is read
        // after the pointer. A text is returned as the stored UTF-8.
        let start = unsafe sqlite3_column_blob(statement.sqliteStatement, index)
        let count = Int(unsafe sqlite3_column_bytes(statement.sqliteStatement, index))
        return unsafe UnsafeRawBufferPointer(start: start, count: count).withMemoryRebound(to: UInt8.self, body)
    }
}

extension Columns {
    static let item = "kind, name, owner, record"
    static let facts = """
        name, owner, record, domains, source, issuer_common_name, not_before, expires_at, auto_renew, created_at, \
        fingerprint, source_digest, directory, loss
        """
    /// The number of the first column after `facts`.
    static let afterFacts: CInt = 14
    static let certificate = facts + ", chain, sealed_key, remote_id, request"
    static let challenge = "token, key_authorization, domain, created_at, kind"

    /// The item of a row selected with the columns `item`; nil for an unknown kind.
    var item: (ItemID, StoredItem)? {
        guard let kind = ItemKind(rawValue: text(0)) else { return nil }
        return (ItemID(kind, text(1)), StoredItem(owner: owner(2), record: bytes(3)))
    }

    /// The certificate's item of a row selected with the columns `facts`.
    var certificateItem: (ItemID, StoredItem) {
        (ItemID(.certificate, text(0)), StoredItem(owner: owner(1), record: bytes(2), certificate: facts))
    }

    /// The certificate of a row selected with the columns `certificate`.
    var certificate: StoredCertificate {
        StoredCertificate(
            name: text(0), owner: owner(1), record: bytes(2), facts: facts, chain: bytes(14), sealedKey: bytes(15),
            remote: remote)
    }

    private var remote: RemoteCertificate? {
        let id = text(16)
        return id.isEmpty ? nil : RemoteCertificate(id: id, request: bytes(17))
    }

    /// The challenge of a row selected with the columns `challenge`; nil when it is malformed.
    var challenge: ACMEChallenge? {
        ACMEChallenge.Kind(rawValue: text(4)).flatMap { kind in
            ACMEChallenge(
                kind: kind, token: text(0), keyAuthorization: text(1), domain: text(2), createdAt: integer(3))
        }
    }

    private var facts: CertificateFacts {
        let loss = text(13)
        return CertificateFacts(
            domains: words(3), source: CertificateFacts.Source(rawValue: text(4)) ?? .custom,
            issuerCommonName: text(5), notBefore: integer(6), expiresAt: integer(7), autoRenew: integer(8) != 0,
            createdAt: integer(9), fingerprint: text(10), sourceDigest: bytes(11), directory: text(12),
            loss: loss.isEmpty ? nil : loss)
    }

    private func owner(_ index: CInt) -> StoredItem.Owner { StoredItem.Owner(rawValue: text(index)) ?? .api }
}
