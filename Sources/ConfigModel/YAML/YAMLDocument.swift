/// A YAML document as flat arrays: nodes in the order of the text, scalars in one run of bytes.
///
/// 100,000 hosts are four million nodes, which would take ten times the memory if each were an object. Children follow
/// their parent, and each node knows the index of the next node after its subtree, so no lists of children are needed.
/// An alias points at its anchor's node, so a document with many aliases takes no more room than its text.
final class YAMLDocument: Sendable {
    private let nodes: [YAMLNode]
    private let text: [UInt8]

    init(nodes: [YAMLNode], text: [UInt8]) {
        self.nodes = nodes
        self.text = text
    }

    /// The outermost value; nil when the document is empty.
    var root: NodeID? { nodes.isEmpty ? nil : NodeID(index: 0) }

    func kind(of id: NodeID) -> YAMLNode.Kind { nodes[id.index].kind }

    func position(of id: NodeID) -> SourcePosition {
        let node = nodes[id.index]
        return SourcePosition(line: Int(node.line), column: Int(node.column))
    }

    /// The bytes of a scalar after unescaping and folding.
    func bytes(of id: NodeID) -> ArraySlice<UInt8> {
        let node = nodes[id.index]
        return text[Int(node.first)..<Int(node.first + node.second)]
    }

    /// The text of a scalar after unescaping and folding.
    func string(of id: NodeID) -> String { String(decoding: bytes(of: id), as: UTF8.self) }

    func scalar(_ id: NodeID, equals expected: [UInt8]) -> Bool {
        scalar(id, equals: expected, in: expected.indices)
    }

    func scalar(_ id: NodeID, equals expected: [UInt8], in part: Range<Int>) -> Bool {
        let node = nodes[id.index]
        guard Int(node.second) == part.count else { return false }
        let start = Int(node.first)
        for offset in 0..<part.count where text[start + offset] != expected[part.lowerBound + offset] { return false }
        return true
    }

    func scalar(_ left: NodeID, equals right: NodeID) -> Bool {
        let (left, right) = (nodes[left.index], nodes[right.index])
        guard left.second == right.second else { return false }
        for offset in 0..<Int(left.second) where text[Int(left.first) + offset] != text[Int(right.first) + offset] {
            return false
        }
        return true
    }

    /// The number of items in a sequence, or of pairs in a mapping.
    func count(of id: NodeID) -> Int { Int(nodes[id.index].second) }

    func items(of sequence: NodeID) -> [NodeID] {
        var items: [NodeID] = []
        items.reserveCapacity(count(of: sequence))
        var next = sequence.index + 1
        for _ in 0..<count(of: sequence) {
            items.append(resolve(next))
            next = end(of: next)
        }
        return items
    }

    /// The keys and values of a mapping as they are written. `<<` is a key like any other here.
    func pairs(of mapping: NodeID) -> Pairs {
        Pairs(document: self, index: mapping.index + 1, left: count(of: mapping))
    }

    /// The pairs of a mapping, found while iterating: making a list of them for each mapping would cost more.
    struct Pairs: Sequence, IteratorProtocol {
        fileprivate let document: YAMLDocument
        fileprivate var index: Int
        fileprivate var left: Int

        mutating func next() -> (key: NodeID, value: NodeID)? {
            guard left > 0 else { return nil }
            let value = document.end(of: index)
            defer {
                left -= 1
                index = document.end(of: value)
            }
            return (document.resolve(index), document.resolve(value))
        }
    }

    /// The number of nodes. The index of every node is below this number.
    var nodeCount: Int { nodes.count }

    /// The scalars and aliases that begin on a line, and the last scalar or alias before that line, whose text may
    /// continue on it.
    func scalars(atLine line: Int) -> (earlier: NodeID?, starting: [NodeID]) {
        // Binary search: nodes are in the order of the text.
        var low = 0
        var high = nodes.count
        while low < high {
            let middle = (low + high) / 2
            if nodes[middle].line < line { low = middle + 1 } else { high = middle }
        }
        let earlier = nodes[..<low].lastIndex { !$0.kind.isCollection }
        var starting: [NodeID] = []
        while low < nodes.count, nodes[low].line == line {
            if !nodes[low].kind.isCollection { starting.append(NodeID(index: low)) }
            low += 1
        }
        return (earlier.map(NodeID.init), starting)
    }

    /// The node that an alias stands for, or the node itself.
    fileprivate func resolve(_ index: Int) -> NodeID {
        let node = nodes[index]
        return NodeID(index: node.kind == .alias ? Int(node.first) : index)
    }

    /// The index after a node and all its descendants.
    fileprivate func end(of index: Int) -> Int {
        let node = nodes[index]
        return node.kind.isCollection ? Int(node.first) : index + 1
    }
}

struct NodeID: Sendable, Hashable {
    let index: Int
}

/// One value, key or alias of a document. A node takes 20 bytes.
struct YAMLNode: Sendable {
    enum Kind: UInt8, Sendable {
        /// A scalar without quotes, which may be a number, a boolean or null.
        case plain
        /// A scalar that is always text, whatever it looks like.
        case text
        case sequence
        case mapping
        case alias

        var isCollection: Bool { self == .sequence || self == .mapping }
        var isScalar: Bool { self == .plain || self == .text }
    }

    let kind: Kind
    let line: UInt32
    let column: UInt32
    /// For a scalar, the offset of its text; for a collection, the index after its last descendant; for an alias, the
    /// index of the node that it stands for.
    var first: UInt32
    /// For a scalar, its length in bytes; for a collection, the number of its items or pairs.
    var second: UInt32
}
