/// The place of an element in a slab. The generation tells the element from earlier ones at the same index.
struct SlotID: Equatable {
    let index: UInt32
    let generation: UInt32

    static let none = SlotID(index: .max, generation: 0)

    var isNone: Bool { index == .max }
}

/// Stores elements at fixed addresses and identifies each by an index and a generation, so that a late event for a
/// removed element can be recognised. Adding or removing an element costs a push or a pop and counts no references.
///
/// An element keeps its address while others are added and removed. Confined to one thread.
@safe
struct Slab<Element: ~Copyable>: ~Copyable {
    private static var chunkBits: Int { 6 }
    private static var chunkSize: Int { 1 << chunkBits }

    /// The memory of 64 elements with their generations.
    @unsafe
    private struct Chunk {
        let elements: UnsafeMutablePointer<Element>
        let generations: UnsafeMutablePointer<UInt32>
    }

    /// The values that change when elements are added or removed. They have memory of their own, so that one element
    /// can be used while others are added or removed.
    private struct Tally {
        var chunkCount = 0
        var free: [UInt32] = []
        var count = 0
    }

    private let chunks: UnsafeMutablePointer<Chunk>
    private let tally: UnsafeMutablePointer<Tally>
    private let maximum: Int

    var count: Int { unsafe tally.pointee.count }

    /// Creates a slab for at most `maximum` elements.
    init(maximum: Int) {
        self.maximum = maximum
        unsafe chunks = .allocate(capacity: maximum / Self.chunkSize + 1)
        unsafe tally = .allocate(capacity: 1)
        unsafe tally.initialize(to: Tally())
    }

    deinit {
        for chunk in unsafe 0..<tally.pointee.chunkCount {
            for offset in 0..<Self.chunkSize where unsafe chunks[chunk].generations[offset] & 1 == 1 {
                unsafe (chunks[chunk].elements + offset).deinitialize(count: 1)
            }
            unsafe chunks[chunk].elements.deallocate()
            unsafe chunks[chunk].generations.deallocate()
        }
        unsafe chunks.deallocate()
        unsafe tally.deinitialize(count: 1)
        unsafe tally.deallocate()
    }

    /// Adds an element; returns nil when the slab is full.
    func insert(_ element: consuming Element) -> SlotID? {
        guard count < maximum else { return nil }
        if unsafe tally.pointee.free.isEmpty { grow() }
        let index = unsafe tally.pointee.free.removeLast()
        let (chunk, offset) = Self.place(index)
        // The slot is free, so its memory holds no element. An odd generation says that it is in use.
        unsafe (chunks[chunk].elements + offset).initialize(to: element)
        unsafe chunks[chunk].generations[offset] &+= 1
        unsafe tally.pointee.count += 1
        return unsafe SlotID(index: index, generation: chunks[chunk].generations[offset])
    }

    /// Removes an element, which must exist. Its ID is invalid from then on.
    func remove(_ id: SlotID) -> Element {
        precondition(contains(id), "no such element")
        let (chunk, offset) = Self.place(id.index)
        unsafe chunks[chunk].generations[offset] &+= 1
        unsafe tally.pointee.count -= 1
        unsafe tally.pointee.free.append(id.index)
        return unsafe (chunks[chunk].elements + offset).move()
    }

    /// Whether the element still exists.
    func contains(_ id: SlotID) -> Bool {
        let (chunk, offset) = Self.place(id.index)
        return unsafe chunk < tally.pointee.chunkCount && chunks[chunk].generations[offset] == id.generation
            && id.generation & 1 == 1
    }

    /// The identity of the element at an index; nil when the place is free.
    func id(at index: UInt32) -> SlotID? {
        let (chunk, offset) = Self.place(index)
        guard unsafe chunk < tally.pointee.chunkCount, unsafe chunks[chunk].generations[offset] & 1 == 1 else {
            return nil
        }
        return unsafe SlotID(index: index, generation: chunks[chunk].generations[offset])
    }

    /// All indices, also those without an element.
    var indices: Range<UInt32> { unsafe 0..<UInt32(tally.pointee.chunkCount * Self.chunkSize) }

    /// The element, which must exist. If the element may have been removed, the caller must call `contains` first.
    subscript(id: SlotID) -> Element {
        unsafeAddress {
            precondition(contains(id), "no such element")
            return unsafe UnsafePointer(address(id))
        }
        nonmutating unsafeMutableAddress {
            precondition(contains(id), "no such element")
            return unsafe address(id)
        }
    }

    private func address(_ id: SlotID) -> UnsafeMutablePointer<Element> {
        let (chunk, offset) = Self.place(id.index)
        return unsafe chunks[chunk].elements + offset
    }

    private static func place(_ index: UInt32) -> (chunk: Int, offset: Int) {
        (Int(index) >> chunkBits, Int(index) & (chunkSize - 1))
    }

    private func grow() {
        let chunkCount = unsafe tally.pointee.chunkCount
        let chunk = unsafe Chunk(
            elements: .allocate(capacity: Self.chunkSize), generations: .allocate(capacity: Self.chunkSize))
        unsafe chunk.generations.initialize(repeating: 0, count: Self.chunkSize)
        // There is room for the chunk: `count < maximum`, and all earlier chunks are full.
        unsafe (chunks + chunkCount).initialize(to: chunk)
        let first = UInt32(chunkCount * Self.chunkSize)
        unsafe tally.pointee.chunkCount += 1
        // Free indices are taken from the end, so the lowest comes last.
        unsafe tally.pointee.free.append(contentsOf: (first..<first + UInt32(Self.chunkSize)).reversed())
    }
}
