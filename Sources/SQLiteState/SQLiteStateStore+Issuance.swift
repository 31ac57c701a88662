import Foundation
import GRDB
import State

/// The journal of orders at CAs.
extension SQLiteStateStore {
    // MARK: Accounts

    package func account(_ id: CAAccount.ID) throws(StateError) -> CAAccount? {
        try read { try account(id, in: $0) }
    }

    package func accounts() throws(StateError) -> [CAAccount] {
        try read { try Row.fetchAll($0, sql: "SELECT * FROM accounts").map(CAAccount.init) }
    }

    package func addAccount(_ account: CAAccount) throws(StateError) -> CAAccount {
        try write { database in
            try execute(
                database,
                """
                INSERT OR IGNORE INTO accounts (directory, external_key_id, url, contact, sealed_key, created_at)
                VALUES (?, ?, ?, ?, ?, ?)
                """,
                [
                    account.id.directory, account.id.externalKeyID, account.url, account.contact,
                    Data(account.sealedKey), account.createdAt,
                ])
            return try self.account(account.id, in: database) ?? account
        }
    }

    package func updateAccount(_ account: CAAccount) throws(StateError) {
        try write { database in
            try execute(
                database,
                """
                UPDATE accounts SET url = ?, contact = ?, sealed_key = ?, sealed_next_key = ?
                WHERE directory = ? AND external_key_id = ?
                """,
                [
                    account.url, account.contact, Data(account.sealedKey), account.sealedNextKey.map { Data($0) },
                    account.id.directory, account.id.externalKeyID,
                ])
        }
    }

    private func account(_ id: CAAccount.ID, in database: Database) throws -> CAAccount? {
        try Row.fetchOne(
            database, sql: "SELECT * FROM accounts WHERE directory = ? AND external_key_id = ?",
            arguments: [id.directory, id.externalKeyID]
        ).map(CAAccount.init)
    }

    // MARK: Orders

    package func pendingOrder(for certificate: String) throws(StateError) -> PendingOrder? {
        try read { database in
            try Row.fetchOne(database, sql: "SELECT * FROM orders WHERE certificate = ?", arguments: [certificate])
                .map(PendingOrder.init)
        }
    }

    package func pendingOrders() throws(StateError) -> [PendingOrder] {
        try read { try Row.fetchAll($0, sql: "SELECT * FROM orders ORDER BY certificate").map(PendingOrder.init) }
    }

    package func putOrder(_ order: PendingOrder, by holder: LeaseHolder) throws(StateError) {
        try write { database in
            try checkLease(.certificate(order.certificate), of: holder, in: database)
            try execute(
                database,
                """
                INSERT OR REPLACE INTO orders (certificate, issuer, directory, domains, url, is_finalized, sealed_key,
                    request, created_at, terms, is_renewal)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
                [
                    order.certificate, order.issuer, order.directory, order.domains.joined(separator: " "), order.url,
                    order.isFinalized, Data(order.sealedKey), Data(order.request), order.createdAt, order.terms,
                    order.isRenewal,
                ])
        }
    }

    package func deleteOrder(for certificate: String, by holder: LeaseHolder) throws(StateError) {
        try write { database in
            try checkLease(.certificate(certificate), of: holder, in: database)
            try execute(database, "DELETE FROM orders WHERE certificate = ?", [certificate])
        }
    }

    // MARK: Ledger

    package func ledger(of directory: String, since: Int64) throws(StateError) -> [LedgerEntry] {
        try read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM ledger WHERE at >= ? AND directory = ? ORDER BY at",
                arguments: [since, directory]
            ).compactMap(LedgerEntry.init)
        }
    }

    package func addToLedger(_ entry: LedgerEntry) throws(StateError) {
        try write { database in
            try execute(
                database, "INSERT INTO ledger (at, directory, kind, names, is_exempt) VALUES (?, ?, ?, ?, ?)",
                [
                    entry.at, entry.directory, entry.kind.rawValue, entry.names.joined(separator: " "), entry.isExempt,
                ])
            try execute(database, "DELETE FROM ledger WHERE at < ?", [entry.at - LedgerEntry.keptSeconds])
        }
    }

    // MARK: Renewals

    package func renewal(of certificate: String) throws(StateError) -> RenewalProgress? {
        try read { try renewal(of: certificate, in: $0) }
    }

    func renewal(of certificate: String, in database: Database) throws -> RenewalProgress? {
        try Row.fetchOne(database, sql: "SELECT * FROM renewals WHERE certificate = ?", arguments: [certificate])
            .map(RenewalProgress.init)
    }

    package func renewals() throws(StateError) -> [RenewalProgress] {
        try read { try renewals(in: $0) }
    }

    func renewals(in database: Database) throws -> [RenewalProgress] {
        try Row.fetchAll(database, sql: "SELECT * FROM renewals").map(RenewalProgress.init)
    }

    package func putRenewal(_ renewal: RenewalProgress) throws(StateError) {
        try write { try put(renewal, in: $0) }
    }

    func put(_ renewal: RenewalProgress, in database: Database) throws {
        try execute(
            database,
            """
            INSERT OR REPLACE INTO renewals (certificate, failures, next_try_at, last_failure, advised_fingerprint,
                advised_at, next_advice_at)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            [
                renewal.certificate, renewal.failures, renewal.nextTryAt, renewal.lastFailure,
                renewal.advisedFingerprint, renewal.advisedAt, renewal.nextAdviceAt,
            ])
    }
}

extension SQLiteStateStore {
    package func putAdvice(_ renewal: RenewalProgress) throws(StateError) {
        try write { database in
            try execute(
                database,
                """
                INSERT INTO renewals (certificate, failures, advised_fingerprint, advised_at, next_advice_at)
                VALUES (?, 0, ?, ?, ?)
                ON CONFLICT DO UPDATE SET advised_fingerprint = excluded.advised_fingerprint,
                    advised_at = excluded.advised_at, next_advice_at = excluded.next_advice_at
                """,
                [renewal.certificate, renewal.advisedFingerprint, renewal.advisedAt, renewal.nextAdviceAt])
        }
    }
}

extension CAAccount {
    fileprivate init(_ row: Row) {
        self.init(
            id: ID(directory: row["directory"], externalKeyID: row["external_key_id"]), url: row["url"],
            contact: row["contact"], sealedKey: Array(row["sealed_key"] as Data),
            sealedNextKey: (row["sealed_next_key"] as Data?).map { Array($0) }, createdAt: row["created_at"])
    }
}

extension PendingOrder {
    fileprivate init(_ row: Row) {
        self.init(
            certificate: row["certificate"], issuer: row["issuer"], directory: row["directory"],
            domains: (row["domains"] as String).split(separator: " ").map(String.init), url: row["url"],
            isFinalized: row["is_finalized"], sealedKey: Array(row["sealed_key"] as Data),
            request: Array(row["request"] as Data), createdAt: row["created_at"], terms: row["terms"],
            isRenewal: row["is_renewal"])
    }
}

extension LedgerEntry {
    fileprivate init?(_ row: Row) {
        guard let kind = Kind(rawValue: row["kind"]) else { return nil }
        self.init(
            at: row["at"], directory: row["directory"], kind: kind,
            names: (row["names"] as String).split(separator: " ").map(String.init), isExempt: row["is_exempt"])
    }
}

extension RenewalProgress {
    fileprivate init(_ row: Row) {
        self.init(certificate: row["certificate"])
        failures = row["failures"]
        nextTryAt = row["next_try_at"]
        lastFailure = row["last_failure"]
        advisedFingerprint = row["advised_fingerprint"]
        advisedAt = row["advised_at"]
        nextAdviceAt = row["next_advice_at"]
    }
}
