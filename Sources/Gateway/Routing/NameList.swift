/// A list of lower-case names. The names are stored one after the other, with a zero byte after each.
struct NameList {
    private let bytes: Bytes

    /// The bytes must stay valid as long as the list is used.
    init(_ bytes: Bytes) { self.bytes = bytes }

    static var none: NameList { NameList(Bytes("")) }

    /// Returns no bytes if the list is empty.
    var first: Bytes { name(at: 0) }

    /// Whether the first name equals `name`. The case of ASCII letters is ignored.
    func isFirst(_ name: Bytes) -> Bool {
        name.count < bytes.count && bytes[name.count] == 0 && name.equalsIgnoringCase(bytes[0..<name.count])
    }

    /// The case of ASCII letters is ignored.
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

    /// Whether the list has the whole name (`start` is 0), or the wildcard `*` plus the bytes of the name from `start`
    /// (`start` is the offset of the first dot).
    func contains(_ key: HostKey, suffixFrom start: Int) -> Bool {
        var position = 0
        while position < bytes.count {
            let name = name(at: position)
            if key.equals(name, suffixFrom: start) { return true }
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
