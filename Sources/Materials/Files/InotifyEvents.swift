/// Parses the events that inotify returns (inotify(7)). An event consists of watch, mask, cookie, length of the name,
/// and the name padded with zeros.
package struct InotifyEvents: Sequence, IteratorProtocol {
    package struct Event {
        /// The name of the file. Empty if the event concerns the directory itself, or if the kernel has lost events.
        package let name: String
    }

    private var rest: ArraySlice<UInt8>

    package init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    package mutating func next() -> Event? {
        let header = 16
        guard rest.count >= header else { return nil }
        // This is safe, since the slice has at least 16 bytes, and the four bytes of the length start at offset 12.
        let length = unsafe rest.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: 12, as: UInt32.self) }
        let name = rest.dropFirst(header).prefix(Int(length))
        rest = rest.dropFirst(header + Int(length))
        return Event(name: String(decoding: name.prefix { $0 != 0 }, as: UTF8.self))
    }
}
