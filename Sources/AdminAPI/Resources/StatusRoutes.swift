import ConfigModel
import Gateway
import Operations
import PKI
import State

/// What is wrong, and when certificates are renewed.
enum StatusRoutes {
    /// The most problems and failures that one answer names.
    private static let named = 100

    static let all: [Route] = [
        .reading("/api/v1/status", "getStatus", "What is wrong, as 'aegis-apply status' finds it", status) {
            try $0.dependencies.reports.report(of: $0.store, machine: SystemName.machine, now: $0.now)
        },
        .reading(
            "/api/v1/renewals", "listRenewals", "When certificates are due to be renewed, the next first",
            query: QueryParameter.page(2), .page(of: renewal), calendar),
    ]

    private static let problem = JSONForm<(item: String, problem: String)>.object(
        "StatusProblem", "Something that must be mended",
        [
            JSONMember("item", .text, "The kind and the name of the item") { $0.item },
            JSONMember("problem", .text, "What is wrong") { $0.problem },
        ])

    private static let failing = JSONForm<FailingCertificate>.object(
        "FailingCertificate", "A certificate that could not be obtained",
        [
            JSONMember("certificate", .text, "Its name") { $0.progress.certificate },
            JSONMember("failures", .integer, "How many tries have failed since the last success") {
                $0.progress.failures
            },
            JSONMember("is_problem", .flag, "Whether a host needs it now and has none that is good") { $0.isMissed },
            JSONMember("next_try_at", .optional(.time), "When the next try is; null if there is none") {
                $0.nextTryAt
            },
            JSONMember("reason", .optional(.text), "Why the last try failed") { $0.progress.lastFailure },
        ])

    private static let identity = JSONForm<LoadedIdentity>.object(
        "IdentityStatus", "A certificate of this node, its key, and the CAs of its peers",
        [
            JSONMember("name", .text, "Its name in the file") { $0.name },
            JSONMember("source", .word(["file", "env", "dev", "vault", ""]), "Where it comes from") { $0.source },
            JSONMember("state", .word(["good", "unusable", "unread"]), "Whether it can be used") { $0.stateWord },
            JSONMember("reason", .optional(.text), "Why it is not good, or what gateways report of it") { $0.reason },
            JSONMember("subject", .optional(.text), "The certificate's subject") { $0.chain.first?.subject },
            JSONMember("sans", .list(of: .text), "The certificate's names") { $0.chain.first?.names ?? [] },
            JSONMember("expires_at", .optional(.time), "The earliest expiry among the certificates of its chain") {
                $0.expiresAt
            },
            JSONMember("problem", .optional(.text), "What must be mended") { $0.problem },
            JSONMember("warning", .optional(.text), "What will be a problem") { $0.warning },
        ])

    private static let overdueList = JSONForm<RevocationListStatus.Overdue>.object(
        "OverdueList", "A revocation list that is past its next update",
        [
            JSONMember("issuer", .text, "The CA's name") { $0.list.issuer },
            JSONMember("next_update", .optional(.time), "When the CA was to issue the next one") { $0.list.nextUpdate },
            JSONMember("refuses", .flag, "Whether a host refuses the CA's certificates therefore") { $0.refuses },
        ])

    private static let list = JSONForm<RevocationListStatus>.object(
        "RevocationListStatus", "A file of revocation lists",
        [
            JSONMember("file", .text, "Its path in the file") { $0.path },
            JSONMember("hosts", .list(of: .text), "The first \(named) hosts that use it") {
                Array($0.hosts.sorted().prefix(named))
            },
            JSONMember("overdue", .list(of: overdueList), "Its lists that are past their next update") { $0.overdue },
            JSONMember("fault", .optional(.text), "Why it can't be used") { $0.fault },
            JSONMember("is_problem", .flag, "Whether hosts refuse clients because of it") { $0.hasProblem },
        ])

    private static let status = JSONForm<StatusReport>.object(
        "Status", "What is wrong",
        [
            JSONMember("generation", .integer, "The number of the last apply that changed something") {
                $0.snapshot.generation
            },
            JSONMember("revision", .integer, "Grows with each change of the configuration in force") {
                $0.snapshot.revision
            },
            JSONMember("has_problem", .flag, "Whether anybody must act") { $0.hasProblem },
            JSONMember("gateways", .integer, "How many gateways run") { $0.gateways.alive.count },
            JSONMember("hosts", .integer, "How many hosts there are") { $0.hosts.count },
            JSONMember("certificates", .integer, "How many certificates are in force") { report in
                report.snapshot.items.keys.count { $0.kind == .certificate }
            },
            JSONMember("problem_count", .integer, "How many problems there are") { $0.problems.count },
            JSONMember("problems", .list(of: problem), "The first \(named) of them") {
                Array($0.problems.prefix(named))
            },
            JSONMember("failing", .list(of: failing), "The first \(named) certificates that could not be obtained") {
                Array($0.failing.prefix(named))
            },
            JSONMember("identities", .list(of: identity), "The identities, as this gateway's process reads them") {
                $0.identities
            },
            JSONMember("revocation_lists", .list(of: list), "The files of revocation lists that hosts use") {
                $0.lists
            },
        ])

    private struct Renewal: Sendable {
        let date: RenewalDate
        let number: Int64?
        let now: Int64
    }

    private static let renewal = JSONForm<Renewal>.object(
        "Renewal", "When a certificate is due to be renewed",
        [
            JSONMember("certificate", .text, "Its name") { $0.date.name },
            JSONMember("certificate_id", .optional(.integer), "Its number; null as long as it was never issued") {
                $0.number.map { Int($0) }
            },
            JSONMember("renews_at", .optional(.time), "When it is due; null for at once") {
                $0.date.dueAt > 0 ? $0.date.dueAt : nil
            },
            JSONMember("is_due", .flag, "Whether that time has come") { $0.date.dueAt <= $0.now },
            JSONMember("expires_at", .optional(.time), "The end of its validity; null as long as it was never issued") {
                $0.date.facts?.expiresAt
            },
            JSONMember("failures", .integer, "How many tries have failed since the last success") {
                $0.date.progress?.failures ?? 0
            },
            JSONMember("last_failure", .optional(.text), "Why the last try failed; null when it did not") {
                $0.date.progress?.lastFailure
            },
        ])

    private static func calendar(_ call: Call) throws -> Page<Renewal> {
        var due = try call.dependencies.reports.calendar(of: call.store)[...]
        if let cursor = call.query.cursor, let time = Int64(cursor.parts[0]) {
            let last = (time, cursor.parts[1])
            due = due.drop { ($0.dueAt, $0.name) <= last }
        }
        return try Page(
            Array(due.prefix(call.query.limit + 1)), call.query.limit,
            { Renewal(date: $0, number: try call.store.number(ofCertificate: $0.name), now: call.now) },
            next: { Cursor("\($0.dueAt)", $0.name) })
    }
}
