/// Reads and writes a stored property of a struct by its offset. A file of 100,000 hosts reads and writes millions of
/// properties, and a key path takes twenty times as long for each.
struct StoredProperty<Root: Sendable, Value>: Sendable {
    private let offset: Int

    /// The range of bytes that the property occupies in every Root.
    var bytes: Range<Int> { offset..<offset + MemoryLayout<Value>.size }

    /// Finds the offset of the property that a key path names. The property must be stored and have no observers.
    init(_ path: WritableKeyPath<Root, Value>) {
        guard let offset = MemoryLayout<Root>.offset(of: path) else { preconditionFailure("\(path) is not stored") }
        self.offset = offset
    }

    func value(of root: borrowing Root) -> Value {
        // This is sound: MemoryLayout.offset(of:) guarantees that every Root has a Value at this offset.
        unsafe withUnsafePointer(to: root) {
            unsafe UnsafeRawPointer($0).load(fromByteOffset: offset, as: Value.self)
        }
    }

    func set(_ value: Value, of root: inout Root) {
        // This is sound: every Root has a Value at this offset, and inout guarantees exclusive access.
        unsafe withUnsafeMutablePointer(to: &root) {
            unsafe (UnsafeMutableRawPointer($0) + offset).assumingMemoryBound(to: Value.self).pointee = value
        }
    }
}
