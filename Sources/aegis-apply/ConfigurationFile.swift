import ArgumentParser
import ConfigModel
import Glibc
import Issuers
import SystemPackage

/// The file that the operator named, read and checked.
struct ConfigurationFile {
    let source: SourceText
    let parsed: ParsedConfiguration
    /// The directory that relative paths in the file are relative to.
    let directory: FilePath

    /// Reads a file; `-` is the standard input. `atState` is called with the state's path as soon as the path is read.
    static func read(_ name: String, atState: (String) -> Void = { _ in }) throws -> ConfigurationFile {
        do {
            let isInput = name == "-"
            let path = FilePath(name)
            let bytes = try isInput ? readAll(.standardInput) : readFile(path)
            let source = SourceText(name: isInput ? "<stdin>" : name, bytes: bytes)
            let directory = isInput ? FilePath(".") : path.removingLastComponent()
            let reader = SecretReader(directory: directory.isEmpty ? "." : directory)
            let parsed = Configuration.parse(source) { atState(reader.resolve($0).string) }
            return ConfigurationFile(source: source, parsed: parsed, directory: reader.directory)
        } catch let error as Errno {
            Terminal.complain("aegis-apply: cannot read '\(name)': \(error)\n")
            if error == .noSuchFileOrDirectory {
                let other = otherEnding(of: name).map { "did you mean '\($0)'? " } ?? ""
                Terminal.complain("hint: \(other)name the file with --config FILE\n")
            }
            throw ExitCode.failure
        }
    }

    /// The name with `.yml` instead of `.yaml`, or the reverse; nil when there is no such file.
    private static func otherEnding(of name: String) -> String? {
        let endings = [".yaml": ".yml", ".yml": ".yaml"]
        guard let ending = endings.first(where: { name.hasSuffix($0.key) }) else { return nil }
        let other = name.dropLast(ending.key.count) + ending.value
        return FilePath(String(other)).exists ? String(other) : nil
    }

    private static func readFile(_ path: FilePath) throws -> [UInt8] {
        let descriptor = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
        return try descriptor.closeAfter {
            // Reserves room for the whole file at once. A pipe has no size, so seeking in it fails.
            let size = (try? descriptor.seek(offset: 0, from: .end)) ?? 0
            _ = try? descriptor.seek(offset: 0, from: .start)
            return try readAll(descriptor, about: Int(size))
        }
    }

    /// Stops once it has read more than the model accepts; the model then reports that the file is too large.
    private static func readAll(_ descriptor: FileDescriptor, about size: Int = 0) throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(min(size, SourceText.maxBytes))
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        while bytes.count <= SourceText.maxBytes {
            // This is safe, since the call writes only into the buffer, and returns how many bytes it has written.
            let count = try unsafe chunk.withUnsafeMutableBytes { try unsafe descriptor.read(into: $0) }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        return bytes
    }

    /// Converts a path in the file, which is relative to the file's directory, to a path relative to the working
    /// directory.
    func resolve(_ path: String) -> FilePath {
        SecretReader(directory: directory).resolve(path)
    }

    var absoluteDirectory: String {
        guard let resolved = unsafe realpath(directory.string, nil) else { return directory.string }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }

    static func workingDirectory() throws -> String {
        guard let path = unsafe getcwd(nil, 0) else { throw Errno(rawValue: errno) }
        defer { unsafe free(path) }
        return unsafe String(cString: path)
    }

    /// The configuration. If the file has errors, prints them and throws the exit code.
    func validated(_ format: OutputFormat) throws -> Configuration {
        guard let configuration = parsed.configuration else {
            try report(format)
            throw ExitStatus.invalidFile
        }
        return configuration
    }

    /// Prints the diagnostics: text to the standard error, JSON to the standard output.
    func report(_ format: OutputFormat) throws {
        switch format {
        case .text: complain(parsed.diagnostics)
        case .json:
            let report = PlainValue.map([
                ("format_version", .int(1)),
                ("valid", .bool(parsed.configuration != nil)),
                ("diagnostics", DiagnosticRenderer(source, parsed.visibility).values(parsed.diagnostics)),
            ])
            try Terminal.print(report.json(indented: true) + [UInt8(ascii: "\n")])
        }
    }

    /// Prints diagnostics and their count to the standard error.
    func complain(_ diagnostics: [Diagnostic]) {
        guard !diagnostics.isEmpty else { return }
        let renderer = DiagnosticRenderer(
            source, parsed.visibility, colour: Terminal.wantsColour(.standardError))
        Terminal.complain(renderer.text(diagnostics))
        if let summary = renderer.summary(diagnostics) { Terminal.complain(summary + "\n") }
    }
}
