import Foundation
import SQLiteState
import State
import TestSupport
import Testing

@testable import Gateway

/// Watches the -wal files of real states.
@Suite struct WALWatchTests {
    private let folder: TemporaryFolder
    private let path: String
    private let others: SQLiteStateStore
    private let own: SQLiteStateStore

    init() throws {
        folder = try TemporaryFolder()
        path = folder.path("state/state.db")
        others = try SQLiteStateStore(path: path)
        own = try #require(try SQLiteStateStore(following: path))
    }

    private func node(_ id: String) -> GatewayNode {
        GatewayNode(id: id, machine: "m", process: 1, version: "1", startedAt: 0, heartbeatAt: 0)
    }

    private func report(_ watch: inout WALWatch) throws {
        try watch.write(to: path, own) { () throws(StateError) in try own.report(node("own")) }
    }

    private func look(_ watch: inout WALWatch) {
        let isKnown = watch.look(at: path, own)
        #expect(isKnown)
    }

    /// Makes SQLite write the -wal file from its beginning again at the next commit. The file then keeps its length.
    private func fold() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["sqlite3", path, "PRAGMA wal_checkpoint(RESTART)"]
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    /// Overwrites a part of the file again and again until the time of its last write differs, since the system's clock
    /// for these times is coarse.
    private func overwrite() throws {
        let before = StateFiles(path: path).wal
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: path + "-wal"))
        repeat {
            try file.seek(toOffset: 100)
            try file.write(contentsOf: Data(count: 200))
        } while StateFiles(path: path).wal == before
        try file.close()
        #expect(StateFiles(path: path).wal?.bytes == before?.bytes)
    }

    @Test("Reports of gateways don't look like damage, whether the file grows or not")
    func reports() throws {
        var watch = WALWatch()
        try others.report(node("other"))
        look(&watch)
        for round in 0..<30 {
            if round % 10 == 5 { try fold() }
            let length = StateFiles(path: path).wal?.bytes
            if round % 2 == 0 { try others.report(node("other")) } else { try report(&watch) }
            if round % 3 == 0 { look(&watch) }
            if round == 15 { #expect(StateFiles(path: path).wal?.bytes == length) }
        }
        look(&watch)
        #expect(!watch.isOverwritten)
    }

    @Test("Overwritten bytes are noticed once, even if the gateway writes next")
    func overwritten() throws {
        var watch = WALWatch()
        try report(&watch)
        try overwrite()
        look(&watch)
        #expect(watch.isOverwritten)
        watch.isOverwritten = false
        look(&watch)
        #expect(!watch.isOverwritten)
        try overwrite()
        try report(&watch)
        #expect(watch.isOverwritten)
    }

    @Test("A file that changed while the state was closed does not count as overwritten")
    func reopened() throws {
        var watch = WALWatch()
        try report(&watch)
        watch.forget()
        try overwrite()
        look(&watch)
        #expect(!watch.isOverwritten)
    }
}
