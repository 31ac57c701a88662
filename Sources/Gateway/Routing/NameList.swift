/// Names in lower case that lie one after the other, each before a zero byte.
struct NameList {
    private let bytes: Bytes

    /// The names in some bytes.
    init(_ bytes: Bytes) { self.bytes = bytes }

    /// No name.
    static var none: NameList { NameList(Bytes("")) }

    /// The first name; empty when there is none.
    var first: Bytes { name(at: 0) }

    /// Whether the first name is this one, whatever case this has.
    func isFirst(_ name: Bytes) -> Bool {
        name.count < bytes.count && bytes[name.count] == 0 && name.equalsIgnoringCase(bytes[0..<name.count])
    }

    /// Whether a name, whatever case it has, is among them.
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

    /// Calls `body` with each.
    func forEach(_ body: (Bytes) -> Void) {
        var position = 0
        while position < bytes.count {
            let name = name(at: position)
            body(name)
            position += name.count + 1
        }
    }

    /// Whether a name (`from` 0), or the wildcard above it, is among them.
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
