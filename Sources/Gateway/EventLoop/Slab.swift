/// Identifies an element of a slab. The generation distinguishes the element from earlier elements at the same index.
struct SlotID: Equatable {
    let index: UInt32
    let generation: UInt32

    static let none = SlotID(index: .max, generation: 0)

    /// The ID as a number.
    var number: UInt64 { UInt64(generation) << 32 | UInt64(index) }

    var isNone: Bool { index == .max }
}

extension SlotID {
    init(number: UInt64) { self.init(index: UInt32(truncatingIfNeeded: number), generation: UInt32(number >> 32)) }
}

/// Stores elements at fixed addresses. Each element has an index and a generation, so a late event for a removed
/// element can be recognised. Adding or removing an element costs a push or a pop, and no reference counting.
///
/// An element keeps its address while others are added and removed. Only one thread may use a slab.
@safe
struct Slab<Element: ~Copyable>: ~Copyable {
    private static var chunkBits: Int { 6 }
    private static var chunkSize: Int { 1 << chunkBits }

    @unsafe
    private struct Chunk {
        let elements: UnsafeMutablePointer<Element>
        let generations: UnsafeMutablePointer<UInt32>
    }

    /// The values that change when elements are added or removed. The values have memory of their own, so that one
    /// element can be in use while others are added or removed.
    private struct Tally {
        var chunkCount = 0
        var free: [UInt32] = []
        var count = 0
    }

    private let chunks: UnsafeMutablePointer<Chunk>
    private let tally: UnsafeMutablePointer<Tally>
    private let maximum: Int

    var count: Int { unsafe tally.pointee.count }

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

    /// Returns nil when the slab is full.
    func insert(_ element: consuming Element) -> SlotID? {
        guard count < maximum else { return nil }
        if unsafe tally.pointee.free.isEmpty { grow() }
        let index = unsafe tally.pointee.free.removeLast()
        let (chunk, offset) = Self.place(index)
        // This is safe, since the slot is free, so its memory holds no element. An odd generation marks a slot in use.
        unsafe (chunks[chunk].elements + offset).initialize(to: element)
        unsafe chunks[chunk].generations[offset] &+= 1
        unsafe tally.pointee.count += 1
        return unsafe SlotID(index: index, generation: chunks[chunk].generations[offset])
    }

    /// Traps if the element does not exist. The ID is invalid after this call.
    func remove(_ id: SlotID) -> Element {
        precondition(contains(id), "no such element")
        let (chunk, offset) = Self.place(id.index)
        unsafe chunks[chunk].generations[offset] &+= 1
        unsafe tally.pointee.count -= 1
        unsafe tally.pointee.free.append(id.index)
        return unsafe (chunks[chunk].elements + offset).move()
    }

    /// This is checked at each use of an element, so it does without a look at the lowest bit of the generation: every ID
    /// that a slab has given out has an odd one, and `none` has an index that no slab has.
    func contains(_ id: SlotID) -> Bool {
        assert(id.isNone || id.generation & 1 == 1, "an ID that no slab has given out")
        let (chunk, offset) = Self.place(id.index)
        return unsafe chunk < tally.pointee.chunkCount && chunks[chunk].generations[offset] == id.generation
    }

    /// Returns nil when the slot at the index is free.
    func id(at index: UInt32) -> SlotID? {
        let (chunk, offset) = Self.place(index)
        guard unsafe chunk < tally.pointee.chunkCount, unsafe chunks[chunk].generations[offset] & 1 == 1 else {
            return nil
        }
        return unsafe SlotID(index: index, generation: chunks[chunk].generations[offset])
    }

    /// All indices, including those without an element.
    var indices: Range<UInt32> { unsafe 0..<UInt32(tally.pointee.chunkCount * Self.chunkSize) }

    /// Traps if the element does not exist. If the element may have been removed, the caller must call `contains`
    /// first.
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
        // This is safe, since `count < maximum` and all earlier chunks are full. So the memory for chunks has room for
        // one more.
        unsafe (chunks + chunkCount).initialize(to: chunk)
        let first = UInt32(chunkCount * Self.chunkSize)
        unsafe tally.pointee.chunkCount += 1
        // Free indices are taken from the end of the list, so the lowest index is last.
        unsafe tally.pointee.free.append(contentsOf: (first..<first + UInt32(Self.chunkSize)).reversed())
    }
}
