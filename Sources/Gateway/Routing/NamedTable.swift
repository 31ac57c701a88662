/// An element that stores its own name, so that a table of elements need not store the name again.
protocol Named {
    func isNamed(_ name: Bytes) -> Bool
}

/// A table of elements by name. Only the elements store the names. A dictionary would store the names a second time and
/// take three times the memory.
struct NamedTable<Element: Named> {
    private var places = NameTable()
    private var elements: [Element?] = []
    private var free: [UInt32] = []

    var count: Int { places.count }
    var isEmpty: Bool { count == 0 }
    /// The elements are in no particular order.
    var values: some Sequence<Element> { elements.lazy.compactMap(\.self) }

    /// When an element is set, its own name must be `name`.
    subscript(name: String) -> Element? {
        get { place(of: name).flatMap { elements[Int($0)] } }
        set {
            switch (place(of: name), newValue) {
            case (let place?, let element?): elements[Int(place)] = element
            case (let place?, nil):
                places.remove(NameHash.of(name), place)
                elements[Int(place)] = nil
                free.append(place)
            case (nil, let element?):
                let place = free.popLast() ?? UInt32(elements.count)
                if place == elements.count { elements.append(element) } else { elements[Int(place)] = element }
                places.insert(NameHash.of(name), place)
            case (nil, nil): break
            }
        }
    }

    private func place(of name: String) -> UInt32? {
        name.lendingBytes { name in
            places.find(NameHash.of(name)) { elements[Int($0)]?.isNamed(name) ?? false }
        }
    }
}
