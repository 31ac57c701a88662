/// What has a name of its own.
protocol Named {
    /// Whether this is its name.
    func isNamed(_ name: Bytes) -> Bool
}

/// Things by their own names, which stand in no other place: a third of what a dictionary takes that has the names as keys.
struct NamedTable<Element: Named> {
    private var places = NameTable()
    private var elements: [Element?] = []
    private var free: [UInt32] = []

    var count: Int { places.count }
    var isEmpty: Bool { count == 0 }
    /// All of them, in no order.
    var values: some Sequence<Element> { elements.lazy.compactMap(\.self) }

    /// The thing of a name. What is put here must have that name.
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
