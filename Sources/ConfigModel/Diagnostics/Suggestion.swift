/// Finds the word that was probably meant instead of a misspelt word.
package enum Suggestion {
    /// Words longer than this are not compared: the work grows with the square of their length.
    private static let maxLength = 64

    /// The fewest letters of each part of an abbreviation.
    private static let minAbbreviation = 3

    /// The candidate that `word` abbreviates, if it is the only one, or else the candidate nearest to `word`. Nil when none
    /// is near enough. A candidate is near enough when it differs in at most a third of the characters, or in one.
    package static func nearest<Candidates: Sequence<String>>(to word: String, in candidates: Candidates) -> String? {
        let typed = Array(word.lowercased().unicodeScalars)
        guard !typed.isEmpty, typed.count <= maxLength else { return nil }
        let candidates = Array(candidates)
        let long = candidates.filter { isAbbreviation(word.lowercased(), of: $0.lowercased()) }
        if long.count == 1 { return long[0] }
        var best: (distance: Int, word: String)?
        for candidate in candidates {
            let scalars = Array(candidate.lowercased().unicodeScalars)
            let allowed = max(1, max(typed.count, scalars.count) / 3)
            guard scalars.count <= maxLength, abs(scalars.count - typed.count) <= allowed else { continue }
            let distance = editDistance(typed, scalars)
            if distance <= allowed, distance < best?.distance ?? .max {
                best = (distance, candidate)
            }
        }
        return best?.word
    }

    /// Whether each part of the word begins the same part of the candidate, such as `edge_certs` for `edge_certificates`.
    private static func isAbbreviation(_ word: String, of candidate: String) -> Bool {
        let (short, long) = (word.split(separator: "_"), candidate.split(separator: "_"))
        guard short.count == long.count else { return false }
        return zip(short, long).allSatisfy { part, whole in
            let stem = part.hasSuffix("s") ? part.dropLast() : part
            return stem.count >= minAbbreviation && whole.hasPrefix(stem)
        }
    }

    /// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours each count one.
    static func editDistance(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for (row, leftScalar) in left.enumerated() {
            var current = [row + 1]
            for (column, rightScalar) in right.enumerated() {
                let substitution = last[column] + (leftScalar == rightScalar ? 0 : 1)
                var cost = min(last[column + 1] + 1, current[column] + 1, substitution)
                if row > 0, column > 0, leftScalar == right[column - 1], left[row - 1] == rightScalar {
                    cost = min(cost, beforeLast[column - 1] + 1)
                }
                current.append(cost)
            }
            (beforeLast, last) = (last, current)
        }
        return last[right.count]
    }

    /// The hint `did you mean 'x'?` with the nearest candidate; nil when there is none.
    static func hint<Candidates: Sequence<String>>(for word: String, in candidates: Candidates) -> String? {
        nearest(to: word, in: candidates).map { "did you mean '\($0)'?" }
    }
}
