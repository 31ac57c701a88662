/// Columns of text for people, as wide as their widest cell. Columns without any text are left out.
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
