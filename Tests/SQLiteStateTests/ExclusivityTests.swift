import Foundation
import GRDB
import PrivateFiles
import State
import SystemPackage
import TestSupport
import Testing

@testable import SQLiteState

@Suite struct ExclusivityTests {
    @Test("A follower waits for a lock for the given time, and the error names that time")
    func locked() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("state/state.db")
        let store = try SQLiteStateStore.leased(path)
        try store.commit([.putItem(ItemID(.host, "a.test"), owner: .file, record: [1])], by: me)
        let follower = try #require(try SQLiteStateStore(following: path, patienceMilliseconds: 20))
        let locker = try DatabaseQueue(path: path)
        try locker.inDatabase { database in
            try database.execute(sql: "BEGIN EXCLUSIVE")
            let refusal = #expect(throws: StateError.busy(path: path, waitedMilliseconds: 20)) {
                try follower.record(events: [])
            }
            #expect(refusal?.description.hasSuffix("locked; it was waited for 20 ms") == true)
            #expect(try follower.position().revision == 1)
            try database.execute(sql: "ROLLBACK")
        }
        try follower.record(events: [])
        #expect(StateError.busy(path: "s", waitedMilliseconds: 10_000).description.hasSuffix(" 10 s"))
    }

    @Test("An obstacle to making or writing a directory is reported without making it")
    func obstacles() throws {
        let folder = try TemporaryFolder()
        let path = FilePath(try folder.file("file", ""))
        #expect(PrivateDirectory.obstacle(at: FilePath(folder.path)) == nil)
        #expect(PrivateDirectory.obstacle(at: FilePath(folder.path("new/one"))) == nil)
        #expect(PrivateDirectory.obstacle(at: "") == nil && PrivateDirectory.obstacle(at: "new/one") == nil)
        for below in [path, path.appending("new"), path.appending("new/one")] {
            #expect(PrivateDirectory.obstacle(at: below) == "'\(path)' is no directory")
        }
        #expect(!FileManager.default.fileExists(atPath: folder.path("new")))
    }

    @Test("A process waits for a locked directory, and the final error names what it waited for")
    func occupied() throws {
        let folder = try TemporaryFolder()
        let directory = FilePath(folder.path("state"))
        try PrivateDirectory.exclusively(in: directory) {
            let refusal = #expect(throws: PrivateDirectory.Occupied.self) {
                try PrivateDirectory.exclusively(in: directory, patienceSeconds: 0) {}
            }
            #expect(refusal?.description.contains("\(directory)") == true)
        }
        #expect(try PrivateDirectory.exclusively(in: directory, patienceSeconds: 0) { true })
    }
}
