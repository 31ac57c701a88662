import State

/// Notices when a program other than SQLite has written to the -wal file, for example when bytes in its middle were
/// zeroed.
///
/// The length of the file does not show this: SQLite sometimes writes the file from its beginning again, and then a
/// commit leaves the length as it was. SQLite itself does not notice either. It checks the file's frames only when it
/// opens a state that no process has open, and it treats the first wrong frame as the end of the file.
struct WALWatch {
    /// The -wal file when all its content was last known to come from commits, and the store's data version just before
    /// that.
    private var known: (file: StateFiles.File?, version: Int)?
    /// Whether a program other than SQLite has written to the -wal file. The caller resets this when it starts a check
    /// for damage.
    var isOverwritten = false

    /// Looks at the -wal file of the store's state. Costs two queries of some microseconds each.
    ///
    /// - Returns: Whether the present file is known now. False while another process is writing, or if the store can't
    ///   be read; a later call then decides.
    @discardableResult
    mutating func look(at path: String, _ store: any StateStore) -> Bool {
        // The version is read before the file. So the next call notices a commit that falls between the two.
        guard let before = try? store.dataVersion() else { return false }
        let file = StateFiles(path: path).wal
        if let known, known.file != file {
            guard let settled = try? store.settledDataVersion() else { return false }
            // No process is writing now, so each commit in the file has raised the data version. If the version is as
            // before, another program has changed the file.
            if settled == known.version { isOverwritten = true }
        }
        known = (file, before)
        return true
    }

    /// Writes to the state by `body`. The data version does not count the store's own commits, so all of them must be
    /// made through this function.
    mutating func write(
        to path: String, _ store: any StateStore, _ body: () throws(StateError) -> Void
    ) throws(StateError) {
        // Changes that other programs made before now must not be mistaken for the store's own commit.
        let isKnown = look(at: path, store)
        try body()
        guard isKnown, let version = known?.version else { return }
        known = (StateFiles(path: path).wal, version)
    }

    /// Forgets the file, because the store is closed.
    mutating func forget() { known = nil }
}
