import Testing

@testable import Gateway

@Suite struct StateFilesTests {
    private let files: StateFiles = {
        var files = StateFiles(path: "/nowhere")
        files.database = file(1, bytes: 4096)
        files.wal = file(2, bytes: 100)
        files.sharedMemory = file(3, bytes: 32_768)
        return files
    }()

    private static func file(_ number: UInt64, bytes: Int64) -> StateFiles.File {
        StateFiles.File(device: 1, number: number, mode: 0o600, bytes: bytes, writtenAt: 5)
    }

    private func changed(_ change: (inout StateFiles) -> Void) -> StateFiles {
        var changed = files
        change(&changed)
        return changed
    }

    @Test("Commits, which lengthen the -wal file, are neither a replaced file nor damage")
    func commit() {
        let later = changed {
            $0.wal?.bytes = 900
            $0.wal?.writtenAt = 9
            $0.sharedMemory?.writtenAt = 9
        }
        #expect(later.areStill(files) && !later.mayBeDamaged(since: files))
    }

    @Test("A write to the database file, or a shorter or missing -wal file, may be damage")
    func damage() {
        let changes: [(inout StateFiles) -> Void] = [
            { $0.database?.bytes = 0 }, { $0.database?.writtenAt = 6 }, { $0.database?.mode = 0 },
            { $0.database = nil }, { $0.wal?.bytes = 99 }, { $0.wal = nil },
        ]
        for change in changes { #expect(changed(change).mayBeDamaged(since: files)) }
    }

    @Test("A missing or replaced file of the three is no longer the open store's")
    func replaced() {
        let changes: [(inout StateFiles) -> Void] = [
            { $0.database = nil }, { $0.wal = nil }, { $0.sharedMemory = nil },
            { $0.database?.number = 7 }, { $0.wal?.number = 7 }, { $0.sharedMemory?.number = 7 },
        ]
        for change in changes { #expect(!changed(change).areStill(files)) }
    }

    @Test("SQLite's -wal and -shm files may appear after the store was opened")
    func later() {
        let early = changed { ($0.wal, $0.sharedMemory) = (nil, nil) }
        #expect(files.areStill(early))
    }
}
