/// A stored property of a struct by its place in memory. A file of 100,000 hosts reads and writes millions of them, and a
/// key path takes twenty times as long for each.
struct StoredProperty<Root: Sendable, Value>: Sendable {
    private let offset: Int

    /// Where it stands in every Root.
    var bytes: Range<Int> { offset..<offset + MemoryLayout<Value>.size }

    /// The property that a key path names: stored, without observers.
    init(_ path: WritableKeyPath<Root, Value>) {
        guard let offset = MemoryLayout<Root>.offset(of: path) else { preconditionFailure("\(path) is not stored") }
        self.offset = offset
    }

    /// The property's value.
    func value(of root: borrowing Root) -> Value {
        // By the contract of MemoryLayout.offset(of:) a Value stands at this distance from the start of every Root.
        unsafe withUnsafePointer(to: root) {
            unsafe UnsafeRawPointer($0).load(fromByteOffset: offset, as: Value.self)
        }
    }

    /// Gives the property another value.
    func set(_ value: Value, of root: inout Root) {
        // The same; inout means that nobody else looks meanwhile.
        unsafe withUnsafeMutablePointer(to: &root) {
            unsafe (UnsafeMutableRawPointer($0) + offset).assumingMemoryBound(to: Value.self).pointee = value
        }
    }
}
