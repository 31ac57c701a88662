import Foundation
import Gateway
import SQLiteState
import State
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// Watches real files, and real states that other stores write.
@Suite struct StateWatcherTests {
    private let folder: TemporaryFolder
    private let path: String
    private let me = LeaseHolder(machine: "here", scope: "boot", process: 1, startTicks: 2, user: "ops")
    private let host = ItemID(.host, "app.example.com")

    init() throws {
        folder = try TemporaryFolder()
        path = folder.path("state/state.db")
    }

    private func watcher() throws -> StateWatcher { try StateWatcher(path: FilePath(path)) }

    /// A new state, with its lease held by `me`.
    private func applying() throws -> SQLiteStateStore {
        let store = try SQLiteStateStore(path: path)
        #expect(try store.acquireLease(.apply, for: me, now: 0, isFree: { _ in false }) == .acquired)
        return store
    }

    private func commit(_ store: SQLiteStateStore, _ record: UInt8 = 1) throws {
        try store.commit([.putItem(host, owner: .file, record: [record])], by: me)
    }

    /// Calls `isThere` after each report of the watcher, until it is true. Returns the number of reports. Gives up
    /// after 200, far more than needed.
    private func looks(_ watcher: StateWatcher, until isThere: () throws -> Bool) rethrows -> Int? {
        for count in 0..<200 {
            if try isThere() { return count }
            _ = watcher.wait()
        }
        return nil
    }

    @Test("A commit by another connection is noticed soon after its events")
    func commits() throws {
        let store = try applying()
        let following = try #require(try SQLiteStateStore(following: path))
        let watcher = try watcher()
        var version = try following.dataVersion()
        for round in 0..<20 {
            try commit(store, UInt8(round))
            let count = try looks(watcher) { try following.dataVersion() != version }
            #expect(count.map { $0 < 20 } == true)
            version = try following.dataVersion()
        }
    }

    @Test("A commit by another process is noticed")
    func otherProcess() throws {
        try applying().close()
        let following = try #require(try SQLiteStateStore(following: path))
        let watcher = try watcher()
        let version = try following.dataVersion()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["sqlite3", path, "UPDATE position SET revision = 7"]
        try process.run()
        #expect(try looks(watcher) { try following.dataVersion() != version } != nil)
        process.waitUntilExit()
        #expect(try following.position().revision == 7)
    }

    @Test("A state that is created later is found, even if its directory is created later")
    func later() throws {
        let watcher = try watcher()
        let writer = Thread { [self] in
            _ = try? { try commit(applying()) }()
        }
        writer.start()
        let found = try looks(watcher) { try SQLiteStateStore(following: path)?.position().revision == 1 }
        #expect(found != nil)
    }

    @Test("A state that is deleted and created again is noticed, and watched further")
    func madeAnew() throws {
        try commit(applying())
        let old = try #require(try SQLiteStateStore(following: path))
        let watcher = try watcher()
        try FileManager.default.removeItem(atPath: folder.path("state"))
        #expect(looks(watcher) { !old.isInPlace } != nil)
        let store = try applying()
        #expect(try looks(watcher) { try SQLiteStateStore(following: path) != nil } != nil)
        let following = try #require(try SQLiteStateStore(following: path))
        let version = try following.dataVersion()
        try commit(store)
        #expect(try looks(watcher) { try following.dataVersion() != version } != nil)
    }

    @Test("A file that is moved over the state is noticed")
    func movedOver() throws {
        try applying().close()
        let old = try #require(try SQLiteStateStore(following: path))
        let watcher = try watcher()
        try FileManager.default.copyItem(atPath: path, toPath: folder.path("state/copy"))
        // This is safe, since the call uses the paths only while it runs.
        #expect(unsafe rename(folder.path("state/copy"), path) == 0)
        #expect(looks(watcher) { !old.isInPlace } != nil)
    }

    @Test("Each call of another thread ends at most one wait")
    func calls() throws {
        let watcher = try watcher()
        watcher.wake()
        watcher.wake()
        #expect(watcher.wait() == .called)
        #expect(watcher.wait() == .look)
        let ended = Mutex<[StateWatcher.Wake]>([])
        let done = DispatchSemaphore(value: 0)
        Thread {
            while ended.withLock({ $0.last }) != .stopped {
                let wake = watcher.wait()
                ended.withLock { $0.append(wake) }
            }
            done.signal()
        }.start()
        watcher.wake()
        watcher.stop()
        #expect(done.wait(timeout: .now() + 30) == .success)
        #expect(watcher.wait() == .stopped)
        #expect(watcher.wait() == .stopped)
    }

    @Test("Changes of other files don't end a wait, and don't delay the slow poll")
    func otherFiles() throws {
        try FileManager.default.createDirectory(atPath: folder.path("state"), withIntermediateDirectories: true)
        // The poll's interval begins here, however late the threads start.
        let start = ContinuousClock.now
        let watcher = try watcher()
        let isOver = Atomic(false)
        let done = DispatchSemaphore(value: 0)
        let log = folder.path("state/access.log")
        withExtendedLifetime(folder) {
            let writer = Thread {
                while !isOver.load(ordering: .relaxed) {
                    _ = FileManager.default.createFile(atPath: log, contents: nil)
                    // The pause keeps inotify's queue from overflowing, which the watcher would report.
                    _ = usleep(100)
                }
                done.signal()
            }
            writer.start()
            #expect(watcher.wait() == .look)
            // The wait ended with the poll's interval, not with an event.
            #expect(ContinuousClock.now - start > .milliseconds(900))
            isOver.store(true, ordering: .relaxed)
            done.wait()
        }
    }

    @Test("Ended watchers leave no descriptor open")
    func descriptors() throws {
        func open() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count }
        let before = try open()
        for _ in 0..<100 { _ = try watcher() }
        // Other tests open files at the same time, but not as many.
        #expect(try open() - before < 100)
    }
}
