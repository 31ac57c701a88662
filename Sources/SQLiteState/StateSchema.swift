import GRDB
import State

/// The tables and their migrations. A released migration is never changed; new migrations are appended.
enum StateSchema {
    static func migrate(_ database: DatabaseQueue, path: String) throws {
        try migrator.migrate(checkingVersion: database, path: path)
    }

    /// The database with this version's tables; nil for a file without tables, which an apply is just creating.
    ///
    /// An older version's state is migrated in memory, since a reader must not write.
    static func current(_ database: DatabaseQueue, path: String) throws -> DatabaseQueue? {
        guard try isPresent(database, path: path) else { return nil }
        if try database.read(migrator.hasCompletedMigrations) { return database }
        let copy = try DatabaseQueue()
        try database.backup(to: copy)
        try migrator.migrate(copy)
        return copy
    }

    /// Whether the file has tables. It has none while an apply is creating it. Throws `StateError.tooNew` when a newer
    /// version wrote the file.
    static func isPresent(_ database: DatabaseQueue, path: String) throws -> Bool {
        try database.read { database in
            guard try database.tableExists("grdb_migrations") else { return false }
            if try migrator.hasBeenSuperseded(database) { throw StateError.tooNew(path: path) }
            return try !migrator.appliedMigrations(database).isEmpty
        }
    }

    /// The names of this version's tables, from a new state in memory.
    static func tables() throws -> [String] {
        let database = try DatabaseQueue()
        try migrator.migrate(database)
        return try database.read(tables(of:))
    }

    /// The names of a database's tables, sorted.
    static func tables(of database: Database) throws -> [String] {
        try String.fetchAll(
            database.cachedStatement(sql: "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"))
    }

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1: items, certificates, history") { database in
            try database.execute(sql: version1)
        }
        migrator.registerMigration("texts of generations apart, bounded deletions") { database in
            try database.execute(sql: boundedHistory)
        }
        migrator.registerMigration("gateway nodes, challenges") { database in
            try database.execute(sql: nodesAndChallenges)
        }
        migrator.registerMigration("issuance journal") { database in
            try database.execute(sql: issuanceJournal)
        }
        migrator.registerMigration("certificates at Cloudflare") { database in
            try database.execute(sql: cloudflare)
        }
        migrator.registerMigration("directories of certificates, terms of orders") { database in
            try database.execute(sql: directoriesAndTerms)
        }
        migrator.registerMigration("certificates kept for when their names come back") { database in
            try database.execute(sql: keptCertificates)
        }
        migrator.registerMigration("certificates that are no longer good") { database in
            try database.execute(sql: losses)
        }
        // This migration changes no table. An earlier version of Aegis would ignore items of these kinds. Since it does
        // not know this migration, it refuses the state instead.
        migrator.registerMigration("items of kind vault, identity, node and alerts") { _ in }
        migrator.registerMigration("details of events") { database in
            try database.execute(sql: eventDetails)
        }
        migrator.registerMigration("certificates of any source") { database in
            try database.execute(sql: anySource)
        }
        migrator.registerMigration("identities from Vaults") { database in
            try database.execute(sql: obtainedIdentities)
        }
        migrator.registerMigration("tokens of the admin API, lasting numbers of certificates") { database in
            try database.execute(sql: adminRecords)
        }
        migrator.registerMigration("alerts of certificates and identities that end") { database in
            try database.execute(sql: expiryAlerts)
        }
        migrator.registerMigration("answers of the admin API") { database in
            try database.execute(sql: rememberedAnswers)
        }
        migrator.registerMigration("sessions of the admin page") { database in
            try database.execute(sql: adminSessions)
        }
        migrator.registerMigration("troubles of gateways") { database in
            try database.execute(sql: troubles)
        }
        return migrator
    }

    private static let version1 = """
        CREATE TABLE position (
            id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL, generation INTEGER NOT NULL
        ) STRICT;
        INSERT INTO position VALUES (1, 0, 0);

        -- Gateway, issuers, edge certificates and hosts: each a record in the language of the file.
        CREATE TABLE items (
            kind TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL CHECK (owner IN ('file', 'api')),
            record BLOB NOT NULL, revision INTEGER NOT NULL, PRIMARY KEY (kind, name)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX items_by_revision ON items (revision);

        CREATE TABLE certificates (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
            owner TEXT NOT NULL CHECK (owner IN ('file', 'api')), record BLOB NOT NULL,
            domains TEXT NOT NULL,
            source TEXT NOT NULL CHECK (source IN ('custom', 'cloudflare_origin', 'letsencrypt', 'local_ca')),
            issuer_common_name TEXT NOT NULL, not_before INTEGER NOT NULL, expires_at INTEGER NOT NULL,
            auto_renew INTEGER NOT NULL, created_at INTEGER NOT NULL, fingerprint TEXT NOT NULL,
            source_digest BLOB NOT NULL, chain BLOB NOT NULL, sealed_key BLOB NOT NULL, revision INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX certificates_by_revision ON certificates (revision);

        -- What is gone, for readers that had seen it.
        CREATE TABLE deletions (
            kind TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL, PRIMARY KEY (kind, name)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX deletions_by_revision ON deletions (revision);

        CREATE TABLE settings (
            name TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE generations (
            number INTEGER PRIMARY KEY, started_at INTEGER NOT NULL, who TEXT NOT NULL, file_name TEXT NOT NULL,
            directory TEXT NOT NULL, file_hash TEXT NOT NULL, sealed_text BLOB NOT NULL,
            outcome TEXT NOT NULL CHECK (outcome IN ('unfinished', 'complete', 'partial')), summary TEXT NOT NULL
        ) STRICT;

        CREATE TABLE events (
            id INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
            kind TEXT NOT NULL, name TEXT NOT NULL, failure TEXT
        ) STRICT;

        CREATE TABLE leases (
            name TEXT PRIMARY KEY, holder TEXT NOT NULL, since INTEGER NOT NULL, expires_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        """

    private static let boundedHistory = """
        -- Apart, so that closing a generation does not write its text again, and old texts can go.
        CREATE TABLE generation_texts (
            number INTEGER PRIMARY KEY REFERENCES generations (number), sealed_text BLOB NOT NULL
        ) STRICT;
        INSERT INTO generation_texts SELECT number, sealed_text FROM generations;
        ALTER TABLE generations DROP COLUMN sealed_text;

        -- Up to here deletions have gone: who has seen no later revision must read everything.
        ALTER TABLE position ADD COLUMN pruned_revision INTEGER NOT NULL DEFAULT 0;
        """

    private static let nodesAndChallenges = """
        -- The gateways that run, each with the revision and generation that it has in force.
        CREATE TABLE nodes (
            id TEXT PRIMARY KEY, machine TEXT NOT NULL, process INTEGER NOT NULL, version TEXT NOT NULL,
            started_at INTEGER NOT NULL, heartbeat_at INTEGER NOT NULL, revision INTEGER NOT NULL,
            generation INTEGER NOT NULL, phase TEXT NOT NULL CHECK (phase IN ('starting', 'ready', 'draining')),
            problems INTEGER NOT NULL, last_problem TEXT
        ) STRICT, WITHOUT ROWID;

        -- Their deletions are marked with the kind 'challenge'.
        CREATE TABLE challenges (
            token TEXT PRIMARY KEY, key_authorization TEXT NOT NULL, domain TEXT NOT NULL,
            created_at INTEGER NOT NULL, revision INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX challenges_by_revision ON challenges (revision);
        """

    private static let issuanceJournal = """
        ALTER TABLE challenges ADD COLUMN kind TEXT NOT NULL DEFAULT 'http-01';
        ALTER TABLE challenges ADD COLUMN certificate TEXT NOT NULL DEFAULT '';

        -- Our accounts at CAs, one a directory and external account.
        CREATE TABLE accounts (
            directory TEXT NOT NULL, external_key_id TEXT NOT NULL, url TEXT, contact TEXT NOT NULL,
            sealed_key BLOB NOT NULL, sealed_next_key BLOB, created_at INTEGER NOT NULL,
            PRIMARY KEY (directory, external_key_id)
        ) STRICT, WITHOUT ROWID;

        -- What is being ordered, from before the first call to the certificate's commit.
        CREATE TABLE orders (
            certificate TEXT PRIMARY KEY, issuer TEXT NOT NULL, directory TEXT NOT NULL, domains TEXT NOT NULL,
            url TEXT, is_finalized INTEGER NOT NULL, sealed_key BLOB NOT NULL, request BLOB NOT NULL,
            created_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;

        -- What counts against the limits of CAs.
        CREATE TABLE ledger (
            id INTEGER PRIMARY KEY, at INTEGER NOT NULL, directory TEXT NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('order', 'certificate', 'failed_authorization')), names TEXT NOT NULL,
            is_exempt INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX ledger_by_time ON ledger (at);

        -- Secrets of issuers that stand in the file, for who renews without it.
        CREATE TABLE secrets (fingerprint TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;

        -- How having and renewing certificates goes.
        CREATE TABLE renewals (
            certificate TEXT PRIMARY KEY, failures INTEGER NOT NULL, next_try_at INTEGER, last_failure TEXT,
            advised_fingerprint TEXT, advised_at INTEGER, next_advice_at INTEGER
        ) STRICT, WITHOUT ROWID;
        """

    private static let cloudflare = """
        ALTER TABLE certificates ADD COLUMN remote_id TEXT NOT NULL DEFAULT '';
        ALTER TABLE certificates ADD COLUMN request BLOB NOT NULL DEFAULT x'';

        -- What others have taken the place of, until it is revoked.
        CREATE TABLE superseded (
            id TEXT PRIMARY KEY, certificate TEXT NOT NULL, issuer TEXT NOT NULL, since INTEGER NOT NULL,
            failures INTEGER NOT NULL, next_try_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;

        -- Packs of edge certificates, from before the first call. The numbers of those that are gone don't come again.
        CREATE TABLE edge_packs (
            number INTEGER PRIMARY KEY AUTOINCREMENT, certificate TEXT NOT NULL, zone TEXT NOT NULL,
            ordered TEXT NOT NULL, former_ids TEXT NOT NULL, id TEXT, status TEXT NOT NULL, expires_at INTEGER,
            notes TEXT NOT NULL, ordered_at INTEGER NOT NULL, checked_at INTEGER NOT NULL, since INTEGER NOT NULL
        ) STRICT;
        """

    private static let directoriesAndTerms = """
        -- Which CA has issued it; empty where that is not known.
        ALTER TABLE certificates ADD COLUMN directory TEXT NOT NULL DEFAULT '';

        -- What was asked for besides names, empty where that is not known; and whether the CA took it as a renewal.
        ALTER TABLE orders ADD COLUMN terms TEXT NOT NULL DEFAULT '';
        ALTER TABLE orders ADD COLUMN is_renewal INTEGER NOT NULL DEFAULT 0;
        """

    private static let losses = """
        -- Why it is no longer good before it expires; empty while it is.
        ALTER TABLE certificates ADD COLUMN loss TEXT NOT NULL DEFAULT '';
        ALTER TABLE kept_certificates ADD COLUMN loss TEXT NOT NULL DEFAULT '';
        """

    private static let eventDetails = """
        -- More facts about an event, as a JSON object of texts.
        ALTER TABLE events ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
        """

    private static let anySource = """
        -- As before, but for the sources, which the program knows. SQLite can't remove a condition from a table.
        CREATE TABLE certificates_of_any_source (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
            owner TEXT NOT NULL CHECK (owner IN ('file', 'api')), record BLOB NOT NULL,
            domains TEXT NOT NULL, source TEXT NOT NULL,
            issuer_common_name TEXT NOT NULL, not_before INTEGER NOT NULL, expires_at INTEGER NOT NULL,
            auto_renew INTEGER NOT NULL, created_at INTEGER NOT NULL, fingerprint TEXT NOT NULL,
            source_digest BLOB NOT NULL, chain BLOB NOT NULL, sealed_key BLOB NOT NULL, revision INTEGER NOT NULL,
            remote_id TEXT NOT NULL DEFAULT '', request BLOB NOT NULL DEFAULT x'',
            directory TEXT NOT NULL DEFAULT '', loss TEXT NOT NULL DEFAULT ''
        ) STRICT;
        INSERT INTO certificates_of_any_source SELECT * FROM certificates;
        DROP TABLE certificates;
        ALTER TABLE certificates_of_any_source RENAME TO certificates;
        CREATE INDEX certificates_by_revision ON certificates (revision);
        """

    private static let obtainedIdentities = """
        -- What gateways have obtained from Vaults for identities, and what they ask for, from before the call.
        CREATE TABLE obtained_identities (
            name TEXT PRIMARY KEY, declaration BLOB NOT NULL, chain BLOB NOT NULL, authorities BLOB NOT NULL,
            sealed_key BLOB NOT NULL, secret_version INTEGER, not_before INTEGER NOT NULL,
            not_after INTEGER NOT NULL, obtained_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE identity_requests (
            name TEXT PRIMARY KEY, declaration BLOB NOT NULL, sealed_key BLOB NOT NULL, created_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        """

    private static let adminRecords = """
        -- Only digests: who reads the state can't use the tokens.
        CREATE TABLE access_tokens (
            name TEXT PRIMARY KEY, scope TEXT NOT NULL, digest BLOB NOT NULL UNIQUE, created_at INTEGER NOT NULL,
            created_by TEXT NOT NULL, expires_at INTEGER, last_used_at INTEGER
        ) STRICT, WITHOUT ROWID;

        -- The largest number that a certificate has had, so that no other certificate gets it later.
        ALTER TABLE position ADD COLUMN last_certificate INTEGER NOT NULL DEFAULT 0;
        UPDATE position SET last_certificate = (SELECT coalesce(max(id), 0) FROM certificates);
        CREATE TRIGGER certificate_numbers AFTER INSERT ON certificates BEGIN
            UPDATE position SET last_certificate = max(last_certificate, NEW.id);
        END;

        -- A kept certificate has its number still. Null where an earlier version has kept it.
        ALTER TABLE kept_certificates ADD COLUMN id INTEGER;
        """

    private static let rememberedAnswers = """
        -- What changes of the admin API have done, for clients that repeat them. number: of a certificate.
        CREATE TABLE remembered_answers (
            actor TEXT NOT NULL, key TEXT NOT NULL, request BLOB NOT NULL, status INTEGER NOT NULL,
            kind TEXT NOT NULL, name TEXT NOT NULL, number INTEGER, revision INTEGER NOT NULL, at INTEGER NOT NULL,
            PRIMARY KEY (actor, key)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX remembered_answers_by_time ON remembered_answers (at);
        """

    private static let adminSessions = """
        -- Only digests, as in access_tokens.
        CREATE TABLE login_links (
            digest BLOB PRIMARY KEY, created_by TEXT NOT NULL, expires_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE admin_sessions (
            digest BLOB PRIMARY KEY, opened_by TEXT NOT NULL, opened_at INTEGER NOT NULL,
            last_used_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        """

    private static let troubles = """
        -- What a gateway could not put in force, as a JSON list of objects with text, kind and name.
        ALTER TABLE nodes ADD COLUMN troubles TEXT NOT NULL DEFAULT '[]';
        """

    private static let expiryAlerts = """
        -- The latest threshold that was told of each. next_try_at: when the webhook is to be called, if it is.
        CREATE TABLE expiry_alerts (
            kind TEXT NOT NULL, name TEXT NOT NULL, fingerprint TEXT NOT NULL, threshold INTEGER NOT NULL,
            not_after INTEGER NOT NULL, told_at INTEGER NOT NULL, tries INTEGER NOT NULL, next_try_at INTEGER,
            delivered_at INTEGER, PRIMARY KEY (kind, name, fingerprint)
        ) STRICT, WITHOUT ROWID;
        """

    private static let keptCertificates = """
        -- As in certificates. No name is in both.
        CREATE TABLE kept_certificates (
            name TEXT PRIMARY KEY, owner TEXT NOT NULL, record BLOB NOT NULL, domains TEXT NOT NULL,
            source TEXT NOT NULL, issuer_common_name TEXT NOT NULL, not_before INTEGER NOT NULL,
            expires_at INTEGER NOT NULL, auto_renew INTEGER NOT NULL, created_at INTEGER NOT NULL,
            fingerprint TEXT NOT NULL, source_digest BLOB NOT NULL, directory TEXT NOT NULL, chain BLOB NOT NULL,
            sealed_key BLOB NOT NULL, remote_id TEXT NOT NULL, request BLOB NOT NULL, kept_since INTEGER NOT NULL
        ) STRICT;
        """
}

extension DatabaseMigrator {
    fileprivate func migrate(checkingVersion database: DatabaseQueue, path: String) throws {
        let isTooNew = try database.read { try $0.tableExists("grdb_migrations") && hasBeenSuperseded($0) }
        if isTooNew { throw StateError.tooNew(path: path) }
        try migrate(database)
    }
}
