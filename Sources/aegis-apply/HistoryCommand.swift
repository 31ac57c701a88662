import ArgumentParser
import ConfigModel
import State

/// `aegis-apply history`: lists the applies that changed something.
struct HistoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "List the applies that changed something, and show what was applied.",
        subcommands: [ListGenerations.self, ShowGeneration.self], defaultSubcommand: ListGenerations.self)
}

struct ListGenerations: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the applies that changed something.")

    @OptionGroup var options: StateOptions

    @Option(help: "How to print it: text or json.")
    var format = OutputFormat.text

    func run() throws {
        try reporting {
            let generations = try options.openForReading().generations()
            switch format {
            case .json:
                let report = PlainValue.map([
                    ("format_version", .int(1)), ("generations", .list(generations.map(\.value))),
                ])
                try Terminal.print(report.json(indented: true) + [UInt8(ascii: "\n")])
            case .text:
                let rows = generations.map {
                    ["\($0.number)", UTCTime.text($0.startedAt), $0.who, $0.fileName, $0.outcome.rawValue, $0.summary]
                }
                try Terminal.print(TextTable(["NUMBER", "WHEN", "WHO", "FILE", "OUTCOME", "CHANGES"], rows).text)
            }
        }
    }
}

struct ShowGeneration: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show the text of a generation, with secrets and comments as asterisks.")

    @Argument(help: "The generation's number.")
    var generation: Int

    @OptionGroup var options: StateOptions

    func run() throws {
        try reporting {
            let known = try options.configuration()
            let path = options.path(known)
            let file = try EarlierFile.read(generation, path, known)
            try Terminal.print(DiagnosticRenderer(file.source, file.parsed.visibility).maskedText())
        }
    }
}

extension Generation {
    fileprivate var value: PlainValue {
        .map([
            ("number", .int(number)), ("started_at", .string(UTCTime.rfc3339(startedAt))), ("who", .string(who)),
            ("file", .string(fileName)), ("directory", .string(directory)), ("file_hash", .string(fileHash)),
            ("outcome", .string(outcome.rawValue)), ("summary", .string(summary)),
        ])
    }
}
