import Foundation
import GRDB
import State

extension SQLiteStateStore {
    @discardableResult
    package func commit(
        _ mutations: [StateMutation], by holder: LeaseHolder, under lease: Lease.Name
    ) throws(StateError) -> Int {
        try write { database in
            try checkLease(lease, of: holder, in: database)
            let step = if mutations.count == 1, case .rememberAnswer = mutations[0] { 0 } else { 1 }
            let revision =
                try Int.fetchOne(
                    database, sql: "UPDATE position SET revision = revision + ? RETURNING revision", arguments: [step])
                ?? 0
            for mutation in mutations { try carryOut(mutation, revision, by: holder, in: database) }
            return revision
        }
    }

    private func carryOut(
        _ mutation: StateMutation, _ revision: Int, by holder: LeaseHolder, in database: Database
    ) throws {
        switch mutation {
        case .putItem(let id, let owner, let record):
            try execute(
                database,
                """
                INSERT INTO items (kind, name, owner, record, revision) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT DO UPDATE SET owner = excluded.owner, record = excluded.record, revision = excluded.revision
                """, [id.kind.rawValue, id.name, owner.rawValue, Data(record), revision])
            try unmarkDeletion(of: id, in: database)
            if id.kind == .identity { try forgetIdentities(in: database) }
        case .require(let id, let record): try require(id, record, in: database)
        case .putCertificate(let certificate): try put(certificate, revision, in: database)
        case .endOrder(let certificate):
            try checkLease(.certificate(certificate), of: holder, in: database)
            try forgetOrder(of: certificate, revision, in: database)
            try execute(
                database, "DELETE FROM leases WHERE name = ?", [Lease.Name.certificate(certificate).text])
        case .endEdgeOrder(let certificate):
            try checkLease(.edgeCertificate(certificate), of: holder, in: database)
            try execute(database, "DELETE FROM edge_packs WHERE certificate = ?", [certificate])
            try execute(
                database, "DELETE FROM leases WHERE name = ?", [Lease.Name.edgeCertificate(certificate).text])
        case .resealAccount(let id, let sealedKey, let sealedNextKey):
            try execute(
                database,
                "UPDATE accounts SET sealed_key = ?, sealed_next_key = ? WHERE directory = ? AND external_key_id = ?",
                [Data(sealedKey), sealedNextKey.map { Data($0) }, id.directory, id.externalKeyID])
        case .resealOrder(let certificate, let sealedKey):
            try execute(
                database, "UPDATE orders SET sealed_key = ? WHERE certificate = ?", [Data(sealedKey), certificate])
        case .resealIdentity(let name, let sealedKey):
            try execute(
                database, "UPDATE obtained_identities SET sealed_key = ? WHERE name = ?", [Data(sealedKey), name])
        case .resealIdentityRequest(let name, let sealedKey):
            try execute(
                database, "UPDATE identity_requests SET sealed_key = ? WHERE name = ?", [Data(sealedKey), name])
        case .supersede(let certificate): try supersede(certificate, in: database)
        case .resealKey(let name, let sealedKey):
            try execute(
                database, "UPDATE certificates SET sealed_key = ?, revision = ? WHERE name = ?",
                [Data(sealedKey), revision, name])
            try execute(
                database, "UPDATE kept_certificates SET sealed_key = ? WHERE name = ?", [Data(sealedKey), name])
        case .deleteItem(let id): try delete(id, revision, in: database)
        case .noteLoss(let name, let fingerprint, let reason):
            try execute(
                database, "UPDATE certificates SET loss = ?, revision = ? WHERE name = ? AND fingerprint = ?",
                [reason, revision, name, fingerprint])
            try execute(
                database, "UPDATE kept_certificates SET loss = ? WHERE name = ? AND fingerprint = ?",
                [reason, name, fingerprint])
        case .keepCertificate(let name, let since): try keep(name, since: since, revision, in: database)
        case .keepReplaced(let name, let kept, let sealedKey, let since):
            try keepReplaced(name, as: kept, sealedKey, since: since, in: database)
        case .restoreCertificate(let name): try restore(name, revision, in: database)
        case .purgeCertificate(let name):
            try execute(database, "DELETE FROM kept_certificates WHERE name = ?", [name])
        case .redeclareCertificate(let name, let owner, let record, let autoRenew):
            try execute(
                database, "UPDATE certificates SET owner = ?, record = ?, auto_renew = ?, revision = ? WHERE name = ?",
                [owner.rawValue, Data(record), autoRenew, revision, name])
        case .putSecret(let fingerprint, let sealed):
            try execute(
                database, "INSERT OR REPLACE INTO secrets (fingerprint, sealed) VALUES (?, ?)",
                [fingerprint, Data(sealed)])
        case .keepSecrets(let fingerprints):
            let kept = Set(fingerprints)
            for fingerprint in try String.fetchAll(database, sql: "SELECT fingerprint FROM secrets")
            where !kept.contains(fingerprint) {
                try execute(database, "DELETE FROM secrets WHERE fingerprint = ?", [fingerprint])
            }
        case .putChallenge(let challenge, let certificate):
            try execute(
                database,
                """
                INSERT OR REPLACE INTO challenges
                    (token, key_authorization, domain, created_at, revision, kind, certificate)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                """,
                [
                    challenge.token, challenge.keyAuthorization, challenge.domain, challenge.createdAt, revision,
                    challenge.kind.rawValue, certificate,
                ])
            try execute(
                database, "DELETE FROM deletions WHERE kind = ? AND name = ?", [Self.challengeKind, challenge.token])
        case .deleteChallenge(let token):
            try execute(database, "DELETE FROM challenges WHERE token = ?", [token])
            try markDeletion(Self.challengeKind, token, revision, in: database)
        case .putSetting(let name, let value):
            try execute(
                database, "INSERT OR REPLACE INTO settings (name, value, revision) VALUES (?, ?, ?)",
                [name.rawValue, Data(value), revision])
        case .deleteSetting(let name):
            try execute(database, "DELETE FROM settings WHERE name = ?", [name.rawValue])
        case .putGeneration(let generation, let text): try put(generation, text, in: database)
        case .resealText(let number, let text):
            try execute(
                database, "UPDATE generation_texts SET sealed_text = ? WHERE number = ?", [Data(text), number])
        case .closeGeneration(let number, let outcome, let summary):
            try execute(
                database, "UPDATE generations SET outcome = ?, summary = ? WHERE number = ?",
                [outcome.rawValue, summary, number])
        case .appendEvent(let event): try append(event, in: database)
        case .requestRenewal(let name, nil, let now):
            try execute(
                database,
                """
                INSERT INTO renewals (certificate, failures, next_try_at) VALUES (?, 0, ?)
                ON CONFLICT DO UPDATE SET next_try_at = excluded.next_try_at
                """, [name, now])
        case .requestRenewal(let name, let fingerprint?, let now):
            try execute(
                database,
                """
                INSERT INTO renewals
                    (certificate, failures, next_try_at, advised_fingerprint, advised_at, next_advice_at)
                SELECT name, 0, ?3, fingerprint, ?3, ?3 + 3600 FROM certificates WHERE name = ?1 AND fingerprint = ?2
                ON CONFLICT DO UPDATE SET next_try_at = excluded.next_try_at,
                    advised_fingerprint = excluded.advised_fingerprint, advised_at = excluded.advised_at,
                    next_advice_at = excluded.next_advice_at
                """, [name, fingerprint, now])
        case .rememberAnswer(let answer): try remember(answer, revision, in: database)
        case .prune(let retention, let now): try prune(retention, now: now, in: database)
        }
    }

    private func require(_ id: ItemID, _ record: [UInt8], in database: Database) throws {
        let sql =
            id.kind == .certificate
            ? "SELECT 1 FROM certificates WHERE name = ? AND record = ?"
            : "SELECT 1 FROM items WHERE name = ? AND record = ? AND kind = ?"
        let arguments: StatementArguments = id.kind == .certificate ? [] : [id.kind.rawValue]
        guard try Bool.fetchOne(database, sql: sql, arguments: [id.name, Data(record)] + arguments) == true else {
            throw StateError.changedMeanwhile(id)
        }
    }

    func append(_ event: AuditEvent, in database: Database) throws {
        let details = event.details.sorted { $0.key < $1.key }
        let members = repeatElement("?, ?", count: details.count).joined(separator: ", ")
        try execute(
            database,
            """
            INSERT INTO events (at, actor, action, kind, name, failure, details)
            VALUES (?, ?, ?, ?, ?, ?, json_object(\(members)))
            """,
            [event.at, event.actor, event.action, event.item.kind.rawValue, event.item.name, event.failure]
                + StatementArguments(details.flatMap { [$0.key, $0.value] }))
    }

    /// SQL for the number of a certificate that is added. The first parameter is the certificate's name. A kept
    /// certificate gets its former number again; any other gets a number that no certificate has had.
    private static let certificateNumber = """
        coalesce(
            (SELECT id FROM kept_certificates WHERE name = ?1), (SELECT last_certificate + 1 FROM position))
        """

    private func put(_ certificate: StoredCertificate, _ revision: Int, in database: Database) throws {
        let facts = certificate.facts
        let progress = try progress(after: certificate, in: database)
        try execute(
            database,
            """
            INSERT INTO certificates (id, name, owner, record, domains, source, issuer_common_name, not_before,
                expires_at, auto_renew, created_at, fingerprint, source_digest, directory, loss, chain, sealed_key,
                remote_id, request, revision)
            VALUES (\(Self.certificateNumber), ?1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET owner = excluded.owner, record = excluded.record, domains = excluded.domains,
                source = excluded.source, issuer_common_name = excluded.issuer_common_name,
                not_before = excluded.not_before, expires_at = excluded.expires_at, auto_renew = excluded.auto_renew,
                created_at = excluded.created_at, fingerprint = excluded.fingerprint,
                source_digest = excluded.source_digest, directory = excluded.directory, loss = excluded.loss,
                chain = excluded.chain, sealed_key = excluded.sealed_key, remote_id = excluded.remote_id,
                request = excluded.request, revision = excluded.revision
            """,
            [
                certificate.name, certificate.owner.rawValue, Data(certificate.record),
                facts.domains.joined(separator: " "), facts.source.rawValue, facts.issuerCommonName, facts.notBefore,
                facts.expiresAt, facts.autoRenew, facts.createdAt, facts.fingerprint, Data(facts.sourceDigest),
                facts.directory, facts.loss ?? "",
                Data(certificate.chain), Data(certificate.sealedKey), certificate.remote?.id ?? "",
                Data(certificate.remote?.request ?? []), revision,
            ])
        try unmarkDeletion(of: ItemID(.certificate, certificate.name), in: database)
        try execute(database, "DELETE FROM kept_certificates WHERE name = ?", [certificate.name])
        try execute(database, "DELETE FROM renewals WHERE certificate = ?", [certificate.name])
        if let progress { try put(progress, in: database) }
    }

    /// The failures and advice to store when `certificate` replaces the stored certificate of the same name; nil for
    /// none.
    private func progress(after certificate: StoredCertificate, in database: Database) throws -> RenewalProgress? {
        let former = try String.fetchOne(
            database, sql: "SELECT fingerprint FROM certificates WHERE name = ?", arguments: [certificate.name])
        return try renewal(of: certificate.name, in: database)?.after(former, renewedTo: certificate.facts)
    }

    private func put(_ generation: Generation, _ sealedText: [UInt8], in database: Database) throws {
        try execute(
            database,
            """
            INSERT INTO generations (number, started_at, who, file_name, directory, file_hash, outcome, summary)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                generation.number, generation.startedAt, generation.who, generation.fileName, generation.directory,
                generation.fileHash, generation.outcome.rawValue, generation.summary,
            ])
        try execute(
            database, "INSERT INTO generation_texts (number, sealed_text) VALUES (?, ?)",
            [generation.number, Data(sealedText)])
        try execute(database, "UPDATE position SET generation = max(generation, ?)", [generation.number])
    }

    private func delete(_ id: ItemID, _ revision: Int, in database: Database) throws {
        if id.kind == .certificate {
            try execute(database, "DELETE FROM certificates WHERE name = ?", [id.name])
        } else {
            try execute(database, "DELETE FROM items WHERE kind = ? AND name = ?", [id.kind.rawValue, id.name])
        }
        try markDeletion(id.kind.rawValue, id.name, revision, in: database)
        if id.kind == .identity { try forgetIdentities(in: database) }
        // A deleted item needs neither packs, orders nor renewals. A host's own certificate has the host's name.
        if id.kind == .edgeCertificate {
            try execute(database, "DELETE FROM edge_packs WHERE certificate = ?", [id.name])
        }
        guard id.kind == .certificate || id.kind == .host else { return }
        try forgetOrder(of: id.name, revision, in: database)
        try execute(database, "DELETE FROM renewals WHERE certificate = ?", [id.name])
    }

    private func keep(_ name: String, since: Int64, _ revision: Int, in database: Database) throws {
        try execute(
            database,
            """
            INSERT OR REPLACE INTO kept_certificates (id, \(Columns.certificate), kept_since)
            SELECT id, \(Columns.certificate), ? FROM certificates WHERE name = ?
            """, [since, name])
        try delete(ItemID(.certificate, name), revision, in: database)
    }

    private func keepReplaced(
        _ name: String, as kept: String, _ sealedKey: [UInt8], since: Int64, in database: Database
    ) throws {
        // The number stays with the certificate in force.
        try execute(
            database,
            """
            INSERT OR REPLACE INTO kept_certificates (id, \(Columns.certificate), kept_since)
            SELECT NULL, \(Columns.certificate), ? FROM certificates WHERE name = ?
            """, [since, name])
        try execute(
            database, "UPDATE OR REPLACE kept_certificates SET name = ?, sealed_key = ? WHERE name = ?",
            [kept, Data(sealedKey), name])
    }

    private func restore(_ name: String, _ revision: Int, in database: Database) throws {
        let id = ItemID(.certificate, name)
        try execute(
            database,
            """
            INSERT INTO certificates (id, \(Columns.certificate), revision)
            SELECT \(Self.certificateNumber), \(Columns.certificate), ?2 FROM kept_certificates WHERE name = ?1
            """, [name, revision])
        guard database.changesCount == 1 else { throw StateError.changedMeanwhile(id) }
        try execute(database, "DELETE FROM kept_certificates WHERE name = ?", [name])
        try unmarkDeletion(of: id, in: database)
    }

    /// Deletes a certificate's order and challenges, which a killed process may have left.
    private func forgetOrder(of certificate: String, _ revision: Int, in database: Database) throws {
        try execute(
            database,
            "INSERT OR REPLACE INTO deletions SELECT ?, token, ? FROM challenges WHERE certificate = ?",
            [Self.challengeKind, revision, certificate])
        for table in ["orders", "challenges"] {
            try execute(database, "DELETE FROM \(table) WHERE certificate = ?", [certificate])
        }
    }

    private func markDeletion(_ kind: String, _ name: String, _ revision: Int, in database: Database) throws {
        try execute(
            database, "INSERT OR REPLACE INTO deletions (kind, name, revision) VALUES (?, ?, ?)",
            [kind, name, revision])
    }

    private func unmarkDeletion(of id: ItemID, in database: Database) throws {
        try execute(database, "DELETE FROM deletions WHERE kind = ? AND name = ?", [id.kind.rawValue, id.name])
    }

    func execute(_ database: Database, _ sql: String, _ arguments: StatementArguments) throws {
        let statement = try database.cachedStatement(sql: sql)
        try statement.execute(arguments: arguments)
    }
}
