import Foundation
import TestSupport
import Testing

/// Files with wrong content. Each message must say what to do.
extension ApplyTests {
    @Test(
        "A certificate or key in DER is refused with the command that converts it", arguments: ["own.pem", "own.key"])
    func derFiles(_ name: String) throws {
        try makeOwn()
        let command = name == "own.pem" ? "x509" : "pkey"
        let der = try Tool.data("openssl", command, "-in", folder.path(name), "-outform", "der")
        try der.write(to: URL(fileURLWithPath: folder.path(name)))
        try write(Self.twoHosts)
        let outcome = try apply()
        #expect(outcome.status == 3)
        let words = "file \(name): this is DER, not PEM: convert it with openssl \(command) -inform der "
        #expect(outcome.errors.contains(words), "\(outcome.errors)")
        #expect(try apply("--dry-run").errors.contains(words))
    }

    @Test("A pipe instead of a certificate or key file is refused at once", arguments: ["own.pem", "own.key"])
    func pipes(_ name: String) throws {
        try makeOwn()
        try FileManager.default.removeItem(atPath: folder.path(name))
        #expect(try Tool.run("mkfifo", folder.path(name)).status == 0)
        try write(Self.twoHosts)
        #expect(try apply("--dry-run").errors.contains("cannot read '\(name)': it is no regular file"))
        let outcome = try apply()
        #expect(outcome.status == 3)
        #expect(outcome.errors.contains("certificate own: upload failed: cannot read '\(name)': it is no regular file"))
    }

    @Test("A key is read from a shell's pipe, and from a file with CRLF")
    func keyFiles() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        let script = "cd '\(folder.path)' && '\(ApplyProgram.path)' rekey --new-key-file <(printf %064d 7)"
        let piped = try Tool.run("env", "AEGIS_SSL_KEY=\(Self.key)", "bash", "-c", script)
        #expect(piped.output.hasPrefix("Sealed 3 again"))
        let key = String(repeating: "0", count: 63) + "7"
        _ = try folder.file("key", key + "\r\n")
        try write("encryption: { key: { file: key } }\n" + Self.twoHosts)
        let outcome = try apply(key: nil)
        #expect(outcome.output.hasPrefix("No changes"), "\(outcome.errors)")
        _ = try folder.file("key", key + "\r\n\n")
        #expect(try apply(key: nil).errors.contains("64 hex digits"))
    }

    @Test("An export writes a file, and its error names anything else at the path")
    func exportPlaces() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        #expect(
            try apply("certificates", "export", "own", "--out", "cache").errors
                == "aegis-apply: cannot write 'cache': Is a directory\n")
        try FileManager.default.createSymbolicLink(atPath: folder.path("link"), withDestinationPath: "own.pem")
        #expect(
            try apply("certificates", "export", "own", "--out", "link").errors
                == "aegis-apply: cannot write 'link': it is no regular file\n")
    }

    @Test("An export replaces a file only with --force, with the key or without", arguments: [[], ["--with-key"]])
    func replacingExport(_ more: [String]) throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        let key = try String(contentsOfFile: folder.path("own.key"), encoding: .utf8)
        _ = try folder.file("only.key", key)
        let export = ["certificates", "export", "own", "--out", "only.key"] + more
        let refused = try ApplyProgram.run(export, in: folder.path, environment: ["AEGIS_SSL_KEY": Self.key])
        #expect(refused.errors == "aegis-apply: 'only.key' exists\nhint: --force replaces it\n")
        #expect(refused.status == 1)
        #expect(try String(contentsOfFile: folder.path("only.key"), encoding: .utf8) == key)
        for _ in 0..<2 {
            let forced = try ApplyProgram.run(
                export + ["--force"], in: folder.path, environment: ["AEGIS_SSL_KEY": Self.key])
            #expect(forced.status == 0, "\(forced.errors)")
        }
        let text = try String(contentsOfFile: folder.path("only.key"), encoding: .utf8)
        #expect(text.hasPrefix("-----BEGIN CERTIFICATE-----") && text.contains("PRIVATE") == !more.isEmpty)
        // A file that exists does not prevent an export that replaces no file.
        let shown = try ApplyProgram.run(
            ["certificates", "export", "own", "--out", "/dev/stdout"], in: folder.path,
            environment: ["AEGIS_SSL_KEY": Self.key])
        #expect(shown.output.hasPrefix("-----BEGIN CERTIFICATE-----"))
    }

    @Test(
        "A killed export leaves nothing that the next export does not remove",
        .enabled(if: !ApplyProgram.isSanitized), arguments: [true, false])
    func killedExport(_ hasFilesWithoutName: Bool) throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        try FileManager.default.createDirectory(atPath: folder.path("out"), withIntermediateDirectories: false)
        func export(_ faults: String...) throws -> ApplyProgram.Outcome {
            // The first opening of the folder creates a file without a name, for which strace knows no path.
            let paths = ["-P", "out", "-P", folder.path("out/.own.pem.aegis-new")]
            let refusal = paths + ["-e", "inject=openat:error=EOPNOTSUPP:when=1"]
            let rules = (hasFilesWithoutName ? [] : refusal) + faults.flatMap { ["-e", $0] }
            return try ApplyProgram.run(
                ["certificates", "export", "own", "--out", "out/own.pem", "--with-key", "--force"], in: folder.path,
                environment: ["AEGIS_SSL_KEY": Self.key],
                under: ["strace", "-f", "-qq", "-o", folder.path("trace"), "-e", "trace=openat,fsync,linkat"] + rules)
        }
        func trace() throws -> String { try String(contentsOfFile: folder.path("trace"), encoding: .utf8) }
        func files() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder.path("out")) }
        _ = try export("inject=fsync:signal=SIGKILL:when=1")
        let isNamed = try trace().contains("EOPNOTSUPP")
        #expect(isNamed || hasFilesWithoutName)
        #expect(try files() == (isNamed ? [".own.pem.aegis-new"] : []))
        let outcome = try export()
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(try files() == ["own.pem"])
        #expect(try trace().contains("linkat(") != isNamed)
        #expect(try export().status == 0, "a file that is there is replaced")
        #expect(try files() == ["own.pem"])
    }

    @Test("A command that needs only the state says how to run it without the invalid file")
    func hintOrder() throws {
        try write("version: 1\nhots: []\n")
        for arguments in [["rollback", "1"], ["status"]] {
            let outcome = try ApplyProgram.run(arguments, in: folder.path)
            #expect(outcome.status == 65)
            #expect(outcome.errors.hasPrefix("aegis.yaml:2:1: error: "), "\(outcome.errors)")
            #expect(
                outcome.errors.hasSuffix("1 error in aegis.yaml\nhint: --state PATH finds the state without the file\n")
            )
        }
    }

    @Test(
        "Each command refuses a state that is not a file, and says what to write instead",
        arguments: [".", "cache", "cache/", "/", "pipe", "/dev/null"])
    func noStateFile(_ place: String) throws {
        try makeOwn()
        try FileManager.default.createDirectory(atPath: folder.path("cache"), withIntermediateDirectories: true)
        #expect(try Tool.run("mkfifo", folder.path("pipe")).status == 0)
        try write(Self.twoHosts.replacing("state/state.db", with: place))
        let isFolder = !["pipe", "/dev/null"].contains(place)
        let what = isFolder ? "it is a directory" : "it is no regular file"
        let hint = "\nhint: write the name of a file in it, such as "
        for words in [["--dry-run"], [], ["status"], ["renew"], ["history"]] {
            let outcome = try ApplyProgram.run(words, in: folder.path, environment: ["AEGIS_SSL_KEY": Self.key])
            #expect(outcome.status == 1, "\(words)")
            #expect(
                outcome.errors.contains(what) && outcome.errors.contains(hint) == isFolder,
                "\(words): \(outcome.errors)")
            #expect(!outcome.errors.contains("backup"), "\(words): \(outcome.errors)")
        }
    }

    @Test("An empty state file counts as a lost state, and apply does not reuse it")
    func emptyState() throws {
        try makeOwn()
        try write(Self.twoHosts)
        try FileManager.default.createDirectory(atPath: folder.path("state"), withIntermediateDirectories: false)
        let attributes = [FileAttributeKey.posixPermissions: 0o600]
        #expect(
            FileManager.default.createFile(atPath: folder.path("state/state.db"), contents: nil, attributes: attributes)
        )
        let outcome = try apply()
        #expect(outcome.status == 1 && outcome.output.isEmpty)
        #expect(outcome.errors.contains("state.db': the file is empty (to begin with nothing, remove it)\nhint: "))
    }
}
