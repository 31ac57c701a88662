/// Formats columns of text, each as wide as its widest cell. Leaves out columns without any text.
struct TextTable {
    let text: String

    init(_ titles: [String], _ rows: [[String]]) {
        let used = titles.indices.filter { column in rows.contains { !$0[column].isEmpty } }
        let lines = ([titles] + rows).map { row in used.map { row[$0].printable } }
        let widths = used.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        text = lines.map { line in
            let cells = zip(line, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            let line = cells.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed()) + "\n"
        }.joined()
    }
}
