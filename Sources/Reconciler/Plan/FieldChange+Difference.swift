import ConfigModel

extension PlainValue {
    /// The values at the ends of an object's branches, with their keys joined by dots. Lists count as values.
    var flattened: [(path: String, value: PlainValue)] {
        var fields: [(path: String, value: PlainValue)] = []
        flatten(into: &fields, at: "")
        return fields
    }

    private func flatten(into fields: inout [(path: String, value: PlainValue)], at path: String) {
        guard case .object(let entries) = self else {
            fields.append((path, self))
            return
        }
        for entry in entries {
            entry.value.flatten(into: &fields, at: path.isEmpty ? entry.key : "\(path).\(entry.key)")
        }
    }
}

extension FieldChange {
    /// The fields that differ: in the order of the new ones, then those that are gone.
    static func difference(
        _ before: [(path: String, value: PlainValue)], _ after: [(path: String, value: PlainValue)]
    ) -> [FieldChange] {
        let old = Dictionary(before.map { ($0.path, $0.value) }, uniquingKeysWith: { first, _ in first })
        let kept = Set(after.map(\.path))
        let changed = after.filter { old[$0.path] != $0.value }
            .map { FieldChange(path: $0.path, before: old[$0.path] ?? .null, after: $0.value) }
        let gone = before.filter { !kept.contains($0.path) }
            .map { FieldChange(path: $0.path, before: $0.value, after: .null) }
        return changed + gone
    }
}
