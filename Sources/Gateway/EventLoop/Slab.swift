/// The place of an element in a slab. The generation tells the element from earlier ones at the same index.
struct SlotID: Equatable {
    let index: UInt32
    let generation: UInt32

    static let none = SlotID(index: .max, generation: 0)

    var isNone: Bool { index == .max }
}

/// Stores elements at fixed addresses and identifies each by an index and a generation. Adding or removing one costs a
/// push or a pop. There are no reference counts and no pointers between elements, so a late event for a removed element
/// can be recognised.
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
    private let tallyMemory: UnsafeMutablePointer<Tally>
    private let maximum: Int

    private var tally: Tally {
        unsafeAddress { unsafe UnsafePointer(tallyMemory) }
        nonmutating unsafeMutableAddress { unsafe tallyMemory }
    }

    var count: Int { tally.count }

    /// Creates a slab for at most `maximum` elements.
    init(maximum: Int) {
        self.maximum = maximum
        unsafe chunks = .allocate(capacity: maximum / Self.chunkSize + 1)
        unsafe tallyMemory = .allocate(capacity: 1)
        unsafe tallyMemory.initialize(to: Tally())
    }

    deinit {
        // An odd generation says that there is an element.
        for index in indices where self[generation: index] & 1 == 1 { unsafe address(index).deinitialize(count: 1) }
        for chunk in 0..<tally.chunkCount {
            unsafe chunks[chunk].elements.deallocate()
            unsafe chunks[chunk].generations.deallocate()
        }
        unsafe chunks.deallocate()
        unsafe tallyMemory.deinitialize(count: 1)
        unsafe tallyMemory.deallocate()
    }

    /// Adds an element; returns nil when the slab is full.
    func insert(_ element: consuming Element) -> SlotID? {
        guard count < maximum else { return nil }
        if tally.free.isEmpty { grow() }
        let index = tally.free.removeLast()
        // The index is free, so its memory holds no element.
        unsafe address(index).initialize(to: element)
        self[generation: index] &+= 1
        tally.count += 1
        return SlotID(index: index, generation: self[generation: index])
    }

    /// Removes and returns an element.
    func remove(_ id: SlotID) -> Element {
        precondition(contains(id), "no such element")
        self[generation: id.index] &+= 1
        tally.count -= 1
        tally.free.append(id.index)
        // It was there, and its memory counts as empty from now on.
        return unsafe address(id.index).move()
    }

    /// Whether the element still exists.
    func contains(_ id: SlotID) -> Bool {
        isInChunk(id.index) && self[generation: id.index] == id.generation && id.generation & 1 == 1
    }

    /// The identity of the element at an index; nil when the place is free.
    func id(at index: UInt32) -> SlotID? {
        guard isInChunk(index), self[generation: index] & 1 == 1 else { return nil }
        return SlotID(index: index, generation: self[generation: index])
    }

    /// All indices, also those without an element.
    var indices: Range<UInt32> { 0..<UInt32(tally.chunkCount * Self.chunkSize) }

    /// The element, which must exist. A caller whose element may be removed must call `contains` first.
    subscript(id: SlotID) -> Element {
        unsafeAddress {
            precondition(contains(id), "no such element")
            return unsafe UnsafePointer(address(id.index))
        }
        nonmutating unsafeMutableAddress {
            precondition(contains(id), "no such element")
            return unsafe address(id.index)
        }
    }

    // MARK: Memory

    private static func place(_ index: UInt32) -> (chunk: Int, offset: Int) {
        (Int(index) >> chunkBits, Int(index) & (chunkSize - 1))
    }

    /// Whether there is memory for an index. What follows must be asked of no other.
    private func isInChunk(_ index: UInt32) -> Bool { Self.place(index).chunk < tally.chunkCount }

    private func address(_ index: UInt32) -> UnsafeMutablePointer<Element> {
        let (chunk, offset) = Self.place(index)
        return unsafe chunks[chunk].elements + offset
    }

    /// The generation at an index: odd while an element is there.
    private subscript(generation index: UInt32) -> UInt32 {
        unsafeAddress {
            let (chunk, offset) = Self.place(index)
            return unsafe UnsafePointer(chunks[chunk].generations + offset)
        }
        nonmutating unsafeMutableAddress {
            let (chunk, offset) = Self.place(index)
            return unsafe chunks[chunk].generations + offset
        }
    }

    private func grow() {
        let chunkCount = tally.chunkCount
        let chunk = unsafe Chunk(
            elements: .allocate(capacity: Self.chunkSize), generations: .allocate(capacity: Self.chunkSize))
        unsafe chunk.generations.initialize(repeating: 0, count: Self.chunkSize)
        // There is room for the chunk: `count < maximum`, and all earlier chunks are full.
        unsafe (chunks + chunkCount).initialize(to: chunk)
        let first = UInt32(chunkCount * Self.chunkSize)
        tally.chunkCount += 1
        // Free indices are taken from the end, so the lowest comes last.
        tally.free.append(contentsOf: (first..<first + UInt32(Self.chunkSize)).reversed())
    }
}
