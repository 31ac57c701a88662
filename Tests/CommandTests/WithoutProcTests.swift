import Foundation
import SQLiteState
import State
import TestSupport
import Testing

/// Whether this machine can hide /proc. It can't if users may not have a mount namespace. A sanitizer needs /proc
/// itself.
private let canHideProc =
    !ApplyProgram.isSanitized
    && (try? Tool.run("unshare", "--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs none /proc").status) == 0

/// Runs the real programs with an empty /proc, as in a bare chroot.
@Suite(.enabled(if: canHideProc)) struct WithoutProcTests {
    private static let wrapper = [
        "unshare", "--map-root-user", "--mount", "--propagation", "private", "sh", "-c",
        "mount -t tmpfs none /proc && exec \"$0\" \"$@\"",
    ]
    private static let text = """
        version: 1
        state: { path: state.db }
        gateway: { cache_dir: ca }
        issuers: { lan: { type: local_ca } }
        certificates: { x: { issuer: lan, domains: [a.internal] } }
        hosts: [{ domain: a.internal, respond: {}, ssl_mode: custom, certificate: x }]

        """

    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        _ = try folder.file("aegis.yaml", Self.text)
    }

    private func run(_ arguments: String...) throws -> ApplyProgram.Outcome {
        let key = String(repeating: "0123456789abcdef", count: 4)
        return try ApplyProgram.run(
            arguments, in: folder.path, environment: ["AEGIS_SSL_KEY": key], under: Self.wrapper)
    }

    private var files: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }
    }

    @Test("Without /proc, each command still reads its arguments: a dry run applies nothing")
    func arguments() throws {
        let plan = try run("--dry-run")
        #expect(plan.status == 0)
        #expect(plan.output.hasSuffix("Plan: 3 to create, 1 to issue.\n"), "\(plan.output)")
        #expect(try files == ["aegis.yaml"])
        #expect(try run("--version").output.hasPrefix("aegis-apply "))
        #expect(try run("statu").status == 64)
    }

    @Test("Without /proc, the gateway still reads its arguments")
    func gateway() throws {
        let program = URL(fileURLWithPath: ApplyProgram.path).deletingLastPathComponent().path + "/aegis-gateway"
        let version = try Tool.run(["env"] + Self.wrapper + [program, "--version"])
        #expect(version.status == 0)
        #expect(version.output.hasPrefix("aegis-gateway "))
    }

    @Test("Without /proc, an apply writes the local CA's files and respects another apply's lock")
    func apply() throws {
        let applied = try run()
        #expect(applied.status == 0, "\(applied.errors)")
        #expect(try files == ["aegis.yaml", "ca", "state.db"])
        #expect(try run().output == "No changes: the state is what the file says.\n")
        _ = try folder.file("aegis.yaml", Self.text.replacing("respond: {}", with: "respond: { body: x }"))
        let store = try SQLiteStateStore(path: folder.path("state.db"))
        // The lease is as a process without /proc on this machine would write it.
        let machine = ProcessInfo.processInfo.hostName
        let now = Int64(Date().timeIntervalSince1970)
        let holder = LeaseHolder(machine: machine, scope: "/", process: 1, startTicks: 0, user: "ops")
        #expect(try store.acquireLease(.apply, for: holder, now: now) { _ in true } == .acquired)
        store.close()
        #expect(try run().status == 75)
    }
}
