import ArgumentParser
import ConfigModel
import Gateway
import Issuers
import Operations
import Reconciler
import State
import SystemPackage

/// `aegis-apply status`: shows the gateways, the hosts and their certificates, and what is wrong with them.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show the hosts in force with their certificates, and the gateways that run.")

    @OptionGroup var options: StateOptions

    @Option(help: "How to print it: text or json.")
    var format = OutputFormat.text

    @Flag(help: "Exit with 3 when there is a problem.")
    var check = false

    func run() throws {
        try reporting {
            let store = try options.openForReading()
            let now = currentTime()
            let directory = FilePath(try store.directory() ?? ".")
            let report = try StatusReport(
                of: store, machine: SystemName.machine, now: now, files: SecretReader(directory: directory))
            let snapshot = report.snapshot
            let kept = KeptStatus(snapshot)
            let gateways = GatewayList(report.gateways)
            let (rows, failing, edge) = (report.hosts, report.failing, report.edge)
            let (identities, lists) = (report.identities, report.lists)
            switch format {
            case .json:
                let document = PlainValue.map([
                    ("format_version", .int(1)), ("state", .string(store.path)),
                    ("generation", .int(snapshot.generation)),
                    ("revision", .int(snapshot.revision)), ("has_problem", .bool(report.hasProblem)),
                    ("gateways", gateways.value),
                    ("hosts", .list(rows.map(\.value))), ("edge_certificates", .list(edge.map(\.value))),
                    ("identities", .list(identities.map(\.value))),
                    ("revocation_lists", .list(lists.map(\.value))),
                    ("kept_certificates", kept.value),
                    ("failing", .list(failing.map(\.value))),
                    ("certificates", .list(report.certificates.map(\.value))),
                ])
                try Terminal.print(document.json(indented: true) + [UInt8(ascii: "\n")])
            case .text:
                let table = TextTable(
                    ["HOST", "CERTIFICATE", "ISSUER", "EXPIRES", "PROBLEM", "NOTE"], rows.map(\.cells))
                let hosts = rows.isEmpty ? "no hosts\n" : table.text
                let lines = failing.map(\.line) + report.certificates.map(\.line)
                try Terminal.print(
                    "generation \(snapshot.generation)\n\n" + gateways.text + hosts + EdgeStatus.text(edge)
                        + LoadedIdentity.text(identities) + RevocationListStatus.text(lists) + kept.text
                        + (lines.isEmpty ? "" : "\n" + lines.joined()))
            }
            if check, report.hasProblem { throw ExitStatus.itemsFailed }
        }
    }
}

extension HostStatus {
    fileprivate var cells: [String] {
        [
            name, certificate ?? "(fallback)", issuer ?? "",
            expiresAt.map { TimeLeft.text(until: $0, from: currentTime()) } ?? "", problem ?? "",
            warning ?? note ?? "",
        ]
    }

    fileprivate var value: PlainValue {
        .map([
            ("host", .string(name)), ("enabled", .bool(isEnabled)),
            ("certificate", certificate.map(PlainValue.string) ?? .null),
            ("issuer", issuer.map(PlainValue.string) ?? .null),
            ("expires_at", expiresAt.map { .string(UTCTime.rfc3339($0)) } ?? .null),
            ("days_left", daysLeft.map(PlainValue.int) ?? .null),
            ("problem", problem.map(PlainValue.string) ?? .null),
            ("warning", warning.map(PlainValue.string) ?? .null),
            ("note", note.map(PlainValue.string) ?? .null),
        ])
    }
}

extension CertificateStatus {
    /// A line that says what is wrong with the certificate.
    fileprivate var line: String {
        let kind = condition.problem == nil ? "warning" : "problem"
        return "\(kind): certificate \(name) \(condition.problem ?? condition.warning ?? "")\n"
    }

    fileprivate var value: PlainValue {
        .map([
            ("certificate", .string(name)), ("problem", condition.problem.map(PlainValue.string) ?? .null),
            ("warning", condition.warning.map(PlainValue.string) ?? .null),
        ])
    }
}

extension FailingCertificate {
    /// A line that says why the certificate could not be obtained, and when it is tried again.
    fileprivate var line: String {
        let times = progress.failures == 1 ? "once" : "\(progress.failures) times"
        return (isMissed ? "problem" : "note")
            + ": certificate \(progress.certificate) could not be obtained \(times)\(next): \(progress.lastFailure ?? "")\n"
    }

    private var next: String {
        switch (hasGateway, nextTryAt) {
        case (_, nil): ""
        case (true, _) where isDue: "; it is tried again now"
        case (true, let time?): "; next try \(UTCTime.text(time))"
        case (false, _) where isDue: "; the next apply tries it again (no gateway runs)"
        case (false, let time?): "; next try \(UTCTime.text(time)) (no gateway runs)"
        }
    }

    fileprivate var value: PlainValue {
        .map([
            ("certificate", .string(progress.certificate)), ("failures", .int(progress.failures)),
            ("is_problem", .bool(isMissed)),
            ("next_try_at", nextTryAt.map { .string(UTCTime.rfc3339($0)) } ?? .null),
            ("reason", progress.lastFailure.map(PlainValue.string) ?? .null),
        ])
    }
}
