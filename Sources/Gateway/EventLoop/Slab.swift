/// Where an element stands in a slab. The generation tells it from what stood there before.
struct SlotID: Equatable {
    let index: UInt32
    let generation: UInt32

    /// No element.
    static let none = SlotID(index: .max, generation: 0)

    var isNone: Bool { index == .max }
}

/// Elements at fixed addresses, made and taken away at the cost of one push or pop, addressed by number: no reference counts
/// and no pointers from one to another, so a late event can be told to be about something that is gone.
///
/// Elements stay where they are while others come and go. Confined to one thread.
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

    /// What changes as elements come and go. It stands in memory of its own, so that an element can be worked on while
    /// others come and go.
    private struct Tally {
        var chunkCount = 0
        var free: [UInt32] = []
        var count = 0
    }

    private let chunks: UnsafeMutablePointer<Chunk>
    private let tally: UnsafeMutablePointer<Tally>
    private let maximum: Int

    /// How many elements there are.
    var count: Int { unsafe tally.pointee.count }

    /// A slab for at most so many elements.
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

    /// Puts an element; nil when the slab is full.
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

    /// Takes an element out.
    func remove(_ id: SlotID) -> Element {
        precondition(contains(id), "no such element")
        let (chunk, offset) = Self.place(id.index)
        unsafe chunks[chunk].generations[offset] &+= 1
        unsafe tally.pointee.count -= 1
        unsafe tally.pointee.free.append(id.index)
        return unsafe (chunks[chunk].elements + offset).move()
    }

    /// Whether the element is still there.
    func contains(_ id: SlotID) -> Bool {
        let (chunk, offset) = Self.place(id.index)
        return unsafe chunk < tally.pointee.chunkCount && chunks[chunk].generations[offset] == id.generation
            && id.generation & 1 == 1
    }

    /// The identity of what stands at an index now; nil when nothing does.
    func id(at index: UInt32) -> SlotID? {
        let (chunk, offset) = Self.place(index)
        guard unsafe chunk < tally.pointee.chunkCount, unsafe chunks[chunk].generations[offset] & 1 == 1 else {
            return nil
        }
        return unsafe SlotID(index: index, generation: chunks[chunk].generations[offset])
    }

    /// How many indices there are, free ones included.
    var indices: Range<UInt32> { unsafe 0..<UInt32(tally.pointee.chunkCount * Self.chunkSize) }

    /// The element. It must be there: whoever holds the identity of what may be gone asks `contains` first.
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
        // There is room: `count < maximum`, and each chunk before this one is full.
        unsafe (chunks + chunkCount).initialize(to: chunk)
        let first = UInt32(chunkCount * Self.chunkSize)
        unsafe tally.pointee.chunkCount += 1
        // The lowest index is taken first.
        unsafe tally.pointee.free.append(contentsOf: (first..<first + UInt32(Self.chunkSize)).reversed())
    }
}
