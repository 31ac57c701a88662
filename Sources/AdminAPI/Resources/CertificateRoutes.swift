import ConfigModel
import Gateway
import Issuers
import Operations
import PKI
import Reconciler
import State

/// The certificates in force, without their keys.
enum CertificateRoutes {
    static let all: [Route] =
        [
            .reading(
                "/api/v1/certificates", "listCertificates", "The certificates in force",
                query: [
                    .text(
                        "domain", "Only certificates for this name, or for a wildcard above it",
                        expected: "must be a name"
                    ) {
                        IPAddress($0)?.text ?? (try? DomainName.parse($0))?.text
                    },
                    .word(
                        "source", "Only certificates from this source",
                        CertificateFacts.Source.allCases.map(\.rawValue)),
                    .time("expires_before", "Only certificates that end before this time"),
                ] + QueryParameter.page(), .page(of: summary), list),
            .reading(
                "/api/v1/certificates/{id}", "getCertificate",
                "A certificate, with its users and its renewal",
                details
            ) { try CertificateDetails(find($0), in: $0.store, now: $0.now) },
            .file(
                "/api/v1/certificates/{id}/chain.pem", "getChain",
                "A certificate and its intermediates, the leaf first",
                type: "application/x-pem-file", chain),
        ] + CertificateChanges.all

    private static let members: [JSONMember<CertificateSummary>] = [
        JSONMember("id", .integer, "Its number, which no other certificate ever gets") { Int($0.number) },
        JSONMember("name", .text, "The name by which hosts refer to it") { $0.certificate.name },
        JSONMember("owner", .word(["file", "api"]), "Who declares it: the file or the API") {
            $0.certificate.owner.rawValue
        },
        JSONMember("domains", .list(of: .text), "The names that it covers") { $0.facts.domains },
        JSONMember("source", .word(CertificateFacts.Source.allCases.map(\.rawValue)), "Where it came from") {
            $0.facts.source.rawValue
        },
        JSONMember("issuer", .text, "The common name of the CA; empty when the CA has none") {
            $0.facts.issuerCommonName
        },
        JSONMember("not_before", .time, "The beginning of its validity") { $0.facts.notBefore },
        JSONMember("expires_at", .time, "The end of its validity, and of the chain's") { $0.facts.expiresAt },
        JSONMember("auto_renew", .flag, "Whether it is renewed before it expires") { $0.facts.autoRenew },
        JSONMember("created_at", .time, "When this leaf was stored") { $0.facts.createdAt },
        JSONMember("status", .word(CertificateSummary.Status.allCases.map(\.rawValue)), "Whether it can be used now") {
            $0.status.rawValue
        },
        JSONMember("problem", .optional(.text), "What is wrong with it now; null when nothing is") {
            $0.condition.problem
        },
        JSONMember("warning", .optional(.text), "A future problem, unless somebody acts; null without one") {
            $0.condition.warning
        },
    ]

    private static let summary = JSONForm<CertificateSummary>.object("Certificate", "A certificate in force", members)

    private static let details = JSONForm<CertificateDetails>.object(
        "CertificateDetails", "A certificate in force, with its users",
        members.map { member in JSONMember(copying: member, \CertificateDetails.summary) } + [
            JSONMember("fingerprint", .text, "SHA-256 of the leaf in lower-case hex") { $0.summary.facts.fingerprint },
            JSONMember("hosts", .list(of: .text), "The hosts that refer to it") { $0.hosts },
            JSONMember(
                "served_names", .list(of: .text),
                "Its names for which no host has a certificate of its own: clients that ask for them get it too"
            ) { $0.freeNames },
            JSONMember("warnings", .list(of: .text), "What some clients refuse") { $0.warnings },
            JSONMember("renews_at", .optional(.time), "When its renewal is due; null if it is not renewed") {
                $0.renewsAt
            },
            JSONMember("failures", .integer, "How many tries to renew it have failed since the last success") {
                $0.progress?.failures ?? 0
            },
            JSONMember("last_failure", .optional(.text), "Why the last try failed; null when it did not") {
                $0.progress?.lastFailure
            },
        ])

    private static func list(_ call: Call) throws -> Page<CertificateSummary> {
        var query = CertificateQuery()
        query.after = call.query.cursor.flatMap { Int64($0.parts[0]) } ?? 0
        query.domain = call.query.text("domain")
        query.source = call.query.text("source").flatMap(CertificateFacts.Source.init)
        query.expiresBefore = call.query.integer("expires_before").map(Int64.init)
        query.limit = call.query.limit + 1
        let found = try call.store.certificates(query)
        var chains = try ChainFaults(now: call.now, of: call.store)
        return Page(found, call.query.limit) {
            CertificateSummary($0, &chains, now: call.now)
        } next: {
            Cursor("\($0.number)")
        }
    }

    /// The number that an id in a path stands for; nil unless the id is a number without `+` and leading zeros.
    static func number(_ id: String) -> Int64? { Int64(id).flatMap { "\($0)" == id ? $0 : nil } }

    private static func find(_ call: Call) throws -> NumberedCertificate {
        guard let number = call.parameters["id"].flatMap(number),
            let found = try call.store.certificate(numbered: number)
        else { throw Problem(.notFound, "There is no certificate in force with this id.") }
        return found
    }

    /// Only certificates are written, whatever else the stored text may contain.
    private static func chain(_ call: Call) throws -> (name: String, content: [UInt8]) {
        let certificates = try PEM.certificates(in: find(call).certificate.chain)
        let text = try certificates.map { (der) throws(PKIError) in try Certificate(der: der).pem }.joined()
        return ("chain.pem", Array(text.utf8))
    }
}

struct CertificateSummary: Sendable {
    enum Status: String, CaseIterable {
        case valid
        case expired
        /// Clients refuse it although it has not expired; the condition's problem says why.
        case unusable
    }

    let number: Int64
    let certificate: StoredCertificate
    let status: Status
    let condition: CertificateCondition

    var facts: CertificateFacts { certificate.facts }

    init(_ numbered: NumberedCertificate, _ chains: inout ChainFaults, now: Int64) {
        number = numbered.number
        certificate = numbered.certificate
        let facts = certificate.facts
        let fault = chains.fault(of: certificate)
        condition = CertificateCondition(of: facts, chainFault: fault, now: now)
        let hasExpired = facts.loss == nil && fault == nil && facts.expiresAt <= now
        status = hasExpired ? .expired : condition.isRefused ? .unusable : .valid
    }
}

struct CertificateDetails: Sendable {
    let summary: CertificateSummary
    /// The domains of the hosts whose certificate it is.
    let hosts: [String]
    let progress: RenewalProgress?
    /// When its renewal is due, in seconds since 1970, but not before it was stored. Nil when nobody renews it.
    let renewsAt: Int64?
    /// Its names for which no host has a certificate of its own. Clients that ask for one of them get this certificate,
    /// or another one with the name.
    let freeNames: [String]
    /// Why some clients refuse the certificate. Each text continues a sentence that begins with the certificate's name.
    let warnings: [String]

    var isRenewed: Bool { renewsAt != nil }

    /// Whether an issuer of the state may revoke it.
    let canBeRevoked: Bool

    init(_ numbered: NumberedCertificate, in store: any StateStore, now: Int64) throws {
        var chains = try ChainFaults(now: now, of: store)
        summary = CertificateSummary(numbered, &chains, now: now)
        let certificate = numbered.certificate
        let use = try CertificateUse(of: certificate, in: store)
        hosts = use.hosts.map(\.name)
        freeNames = use.freeNames
        warnings = use.warnings(&chains)
        let progress = try store.renewal(of: certificate.name)
        self.progress = progress
        let issuers = try store.items(of: .issuer).compactMap { name, item in
            Issuer(record: item.record).map { issuer in
                var issuer = issuer
                issuer.name = name
                return (name, issuer)
            }
        }
        let known = Dictionary(issuers) { first, _ in first }
        canBeRevoked = (try? Revocation(of: certificate, .unspecified, among: known)) != nil
        renewsAt = use.renewed.map {
            max($0.dueAt(certificate.facts, from: known, after: progress), certificate.facts.createdAt)
        }
    }
}

extension JSONMember {
    /// Makes a member of a value from a member of one of its parts.
    init<Part>(copying member: JSONMember<Part>, _ part: KeyPath<Value, Part> & Sendable) {
        self.init(name: member.name, schema: member.schema, definitions: member.definitions) {
            member.write($0[keyPath: part])
        }
    }
}

extension Page {
    /// A page of the first `limit` items. `read` has one item more than `limit` if there is another page.
    init<Read>(_ read: [Read], _ limit: Int, _ item: (Read) throws -> Item, next: (Read) -> Cursor) rethrows {
        let shown = read.prefix(limit)
        items = try shown.map(item)
        self.next = read.count > limit ? shown.last.map(next) : nil
    }
}
