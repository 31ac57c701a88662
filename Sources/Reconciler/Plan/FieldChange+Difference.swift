import ConfigModel

/// A value in two forms with the same keys: one to compare, and one to show, in which secrets are hidden.
struct ComparedValue {
    let exact: PlainValue
    let shown: PlainValue

    /// The text that a plan shows for a changed secret.
    static let changedSecret = PlainValue.string("(hidden, changed)")

    fileprivate init(_ exact: PlainValue, _ shown: PlainValue) {
        self.exact = exact
        self.shown = shown
    }

    init(_ value: some Recorded) { self.init(value.record(.exact), value.record(.complete)) }

    /// The members of an object, in order; nil when the value is not an object.
    fileprivate var entries: [(key: String, value: ComparedValue)]? {
        guard case .object(let exact) = exact, case .object(let shown) = shown else { return nil }
        return zip(exact, shown).map { ($0.key, ComparedValue($0.value, $1.value)) }
    }
}

extension PlainValue {
    /// The leaves of an object, with their keys joined by dots. Lists and empty objects are leaves.
    func flattened(at path: String = "") -> [(path: String, value: PlainValue)] {
        guard case .object(let entries) = self, !entries.isEmpty else { return [(path, self)] }
        return entries.flatMap { $0.value.flattened(at: path.appending(key: $0.key)) }
    }
}

extension FieldChange {
    /// The fields that differ: first the fields of the new value in their order, then the removed fields.
    static func difference(_ before: ComparedValue?, _ after: ComparedValue) -> [FieldChange] {
        var found = (changed: [FieldChange](), gone: [FieldChange]())
        compare(before, after, at: "", &found)
        return found.changed + found.gone
    }

    private typealias Found = (changed: [FieldChange], gone: [FieldChange])

    private static func compare(
        _ before: ComparedValue?, _ after: ComparedValue, at path: String, _ found: inout Found
    ) {
        guard before?.exact != after.exact else { return }
        guard let old = before?.entries, let new = after.entries else {
            return replace(before?.shown, after.shown, at: path, &found)
        }
        let oldPlaces = Dictionary(zip(old.map(\.key), old.indices), uniquingKeysWith: { first, _ in first })
        let kept = new.compactMap { oldPlaces[$0.key] }
        if zip(kept, kept.dropFirst()).contains(where: >) {
            let keys = { (places: [Int]) in PlainValue.list(places.map { .string(old[$0].key) }) }
            found.changed.append(FieldChange(path: path, before: keys(kept.sorted()), after: keys(kept)))
        }
        for (key, value) in new {
            compare(oldPlaces[key].map { old[$0].value }, value, at: path.appending(key: key), &found)
        }
        let keptPlaces = Set(kept)
        for (index, entry) in old.enumerated() where !keptPlaces.contains(index) {
            found.gone += gone(entry.value.shown, at: path.appending(key: entry.key))
        }
    }

    /// Reports that one value replaces another, when at least one of them is not an object.
    private static func replace(_ before: PlainValue?, _ after: PlainValue, at path: String, _ found: inout Found) {
        let ends = after.flattened(at: path)
        // When one value replaces another at the same path, one line is enough.
        guard let before, ends.count == 1, ends[0].path == path, !before.isBranch else {
            found.changed += ends.map { FieldChange(path: $0.path, before: .null, after: $0.value) }
            found.gone += before.map { gone($0, at: path) } ?? []
            return
        }
        found.changed.append(
            FieldChange(
                path: path, before: before, after: before == after ? ComparedValue.changedSecret : after))
    }

    private static func gone(_ value: PlainValue, at path: String) -> [FieldChange] {
        value.flattened(at: path).map { FieldChange(path: $0.path, before: $0.value, after: .null) }
    }
}

extension PlainValue {
    /// Whether the value is an object with members.
    fileprivate var isBranch: Bool {
        if case .object(let entries) = self { !entries.isEmpty } else { false }
    }
}

extension String {
    fileprivate func appending(key: String) -> String { isEmpty ? key : "\(self).\(key)" }
}
