import Materials
import PKI
import Synchronization
import SystemPackage

/// A file system and a clock that a test controls.
final class PlayedFiles: FileAccess {
    struct File {
        var content: String
        var number: UInt64 = 1
        var kind = FileMark.Kind.regular
        var permissions: FilePermissions = .ownerReadWrite
        var changedAt: Int64
        /// Whether the file can't be opened.
        var isLocked = false
        /// Whether the file changes while it is read.
        var isBusy = false
    }

    struct State {
        var now: Int64 = 1_000_000_000_000
        var files: [FilePath: File] = [:]
        var marks = 0
        var readings = 0
    }

    private let state = Mutex(State())

    func change(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }

    var now: Int64 { state.withLock { $0.now } }
    var readings: Int { state.withLock { $0.readings } }
    var marks: Int { state.withLock { $0.marks } }

    /// Advances the clock.
    func pass(seconds: Double) { change { $0.now += Int64(seconds * 1e9) } }

    /// Overwrites a file in place, at the current time.
    func write(_ content: String, to path: FilePath) {
        change { state in
            var file = state.files[path] ?? File(content: "", changedAt: 0)
            (file.content, file.changedAt) = (content, state.now)
            state.files[path] = file
        }
    }

    func mark(of path: FilePath) throws -> FileMark {
        try state.withLock { state in
            state.marks += 1
            guard let file = state.files[path] else { throw Errno.noSuchFileOrDirectory }
            return FileMark(file)
        }
    }

    func read(_ path: FilePath, atMost limit: Int) throws -> FileReading {
        try state.withLock { state in
            state.readings += 1
            guard let file = state.files[path] else { throw Errno.noSuchFileOrDirectory }
            guard !file.isLocked else { throw Errno.permissionDenied }
            let mark = FileMark(file)
            var after = mark
            if file.isBusy { after.bytes += 1 }
            return FileReading(
                content: SecretBytes(Array(file.content.utf8.prefix(limit))), before: mark, after: after)
        }
    }
}

extension FileMark {
    fileprivate init(_ file: PlayedFiles.File) {
        self.init(
            device: 1, number: file.number, kind: file.kind, permissions: file.permissions,
            bytes: Int64(file.content.utf8.count), writtenAt: file.changedAt, changedAt: file.changedAt)
    }
}
