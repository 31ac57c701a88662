import Foundation

/// The lines by which the text of a plan shows a changed value.
enum ShownLines {
    /// Whether the lines show two values as different: the elements of lists as removed, added and moved.
    ///
    /// - Parameter elements: The elements of both values. Nil for a value that is no list.
    static func differ<Element: Hashable>(
        _ lines: [Substring], elements: (before: [Element]?, after: [Element]?)
    ) -> Bool {
        if let old = elements.before, let new = elements.after, !old.isEmpty, !new.isEmpty {
            let (removed, added) = (Set(old).subtracting(new), Set(new).subtracting(old))
            let isMoved = old.filter(Set(new).contains) != new.filter(Set(old).contains)
            return lines.count { $0.hasPrefix("- ") } == removed.count
                && lines.count { $0.hasPrefix("+ ") } == added.count
                && lines.contains { $0.hasPrefix("~ ") } == isMoved && Set(lines).count == lines.count
        }
        guard lines.count == 1, let line = lines.first else { return false }
        let parts = line.components(separatedBy: " → ")
        // At whichever arrow a reader splits the line, both sides must differ.
        return parts.count > 1
            && (1..<parts.count).allSatisfy {
                parts[..<$0].joined(separator: " → ") != parts[$0...].joined(separator: " → ")
            }
    }
}
