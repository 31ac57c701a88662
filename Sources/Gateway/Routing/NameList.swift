/// A list of lower-case names, stored one after the other with a zero byte after each.
struct NameList {
    private let bytes: Bytes

    /// Creates a view of the list that is stored in `bytes`.
    init(_ bytes: Bytes) { self.bytes = bytes }

    static var none: NameList { NameList(Bytes("")) }

    /// The first name; empty when the list is empty.
    var first: Bytes { name(at: 0) }

    /// Whether the first name equals `name`, ignoring case.
    func isFirst(_ name: Bytes) -> Bool {
        name.count < bytes.count && bytes[name.count] == 0 && name.equalsIgnoringCase(bytes[0..<name.count])
    }

    /// Whether the list contains `name`, ignoring case.
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

    /// Whether the list contains the name (`from` is 0), or the wildcard above it (`from` is the offset of the parent's
    /// dot).
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
