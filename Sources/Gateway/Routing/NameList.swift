/// A list of lower-case names, stored one after the other with a zero byte after each.
struct NameList {
    private let bytes: Bytes

    /// The list must be valid as long as `bytes` are.
    init(_ bytes: Bytes) { self.bytes = bytes }

    static var none: NameList { NameList(Bytes("")) }

    /// Empty when the list is empty.
    var first: Bytes { name(at: 0) }

    /// Ignores the case of ASCII letters.
    func isFirst(_ name: Bytes) -> Bool {
        name.count < bytes.count && bytes[name.count] == 0 && name.equalsIgnoringCase(bytes[0..<name.count])
    }

    /// Ignores the case of ASCII letters.
    @inline(__always)
    func contains(_ name: Bytes) -> Bool { !bytes.isEmpty && find(name) }

    private func find(_ name: Bytes) -> Bool {
        var position = 0
        while position < bytes.count {
            let known = self.name(at: position)
            if name.equalsIgnoringCase(known) { return true }
            position += known.count + 1
        }
        return false
    }

    func forEach(_ body: (Bytes) -> Void) {
        var position = 0
        while position < bytes.count {
            let name = name(at: position)
            body(name)
            position += name.count + 1
        }
    }

    /// Whether the list contains the whole name (`start` is 0), or a wildcard that covers it (`start` is the offset of
    /// the first dot).
    func contains(_ key: HostKey, from start: Int) -> Bool {
        var position = 0
        while position < bytes.count {
            let name = name(at: position)
            if key.equals(name, from: start) { return true }
            position += name.count + 1
        }
        return false
    }

    private func name(at start: Int) -> Bytes {
        var end = start
        while end < bytes.count, bytes[end] != 0 { end += 1 }
        return bytes[start..<end]
    }
}
