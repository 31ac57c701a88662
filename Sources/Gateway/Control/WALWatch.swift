import State

/// Notices that the -wal file was written to by something other than SQLite, for example that bytes in its middle were
/// zeroed. Its length then tells nothing: from time to time SQLite writes it again from its beginning, so that commits
/// also leave the length as it was.
///
/// SQLite does not notice either. It checks a frame of the file only when it opens a state that nobody has open, and then
/// takes the first wrong frame for the file's end.
struct WALWatch {
    /// The file when all its content was last known to come from commits, and the store's data version before that.
    private var known: (file: StateFiles.File?, version: Int)?
    /// Whether something other than SQLite has written to the file. The caller resets this when it looks for damage.
    var isOverwritten = false

    /// Looks at the file, which is that of the store's state. Costs two queries of some microseconds each.
    ///
    /// - Returns: Whether the file's content is known again. It is not while another process is writing to it, or when
    ///   the store can't be read: then a later look decides.
    @discardableResult
    mutating func look(at path: String, _ store: any StateStore) -> Bool {
        // The version is read before the file, so that a commit between the two shows at the next look.
        guard let before = try? store.dataVersion() else { return false }
        let file = StateFiles(path: path).wal
        if let known, known.file != file {
            guard let settled = try? store.settledDataVersion() else { return false }
            // Nobody is writing, so each commit that has written to the file shows in the number.
            if settled == known.version { isOverwritten = true }
        }
        known = (file, before)
        return true
    }

    /// Writes to the state through the store. The data version does not tell of the store's own commits.
    mutating func write(
        to path: String, _ store: any StateStore, _ body: () throws(StateError) -> Void
    ) throws(StateError) {
        // What others have written until now must not pass for the store's own commit.
        let isKnown = look(at: path, store)
        try body()
        guard isKnown, let version = known?.version else { return }
        known = (StateFiles(path: path).wal, version)
    }

    /// Forgets the file, because the store is closed.
    mutating func forget() { known = nil }
}
