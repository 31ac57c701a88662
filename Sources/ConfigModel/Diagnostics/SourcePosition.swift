/// A line and a column of a configuration file, counted as editors and compilers do.
package struct SourcePosition: Sendable, Hashable, Comparable {
    /// The line, from 1.
    package let line: Int
    /// The column in Unicode scalars, from 1. A byte order mark has no column.
    package let column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    /// The place of a diagnostic that concerns no line of the file. It sorts before all others.
    package static let none = SourcePosition(line: 0, column: 0)

    package static let start = SourcePosition(line: 1, column: 1)

    package static func < (left: SourcePosition, right: SourcePosition) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// The place in the file where a value of the model was written.
///
/// Two origins always compare as equal: moving a value within the file does not make it another value.
package struct SourceOrigin: Sendable, Hashable {
    /// The place of the value's first character.
    package let position: SourcePosition
    /// The value's node in the document it was read from.
    let node: NodeID?

    init(position: SourcePosition, node: NodeID? = nil) {
        self.position = position
        self.node = node
    }

    /// The origin of a value that was not read from a file.
    package static let none = SourceOrigin(position: .none)

    /// Always true, so that values compare without their places.
    package static func == (_: SourceOrigin, _: SourceOrigin) -> Bool { true }

    /// Hashes nothing, since all origins are equal.
    package func hash(into _: inout Hasher) {}
}
