/// Items that come from no file, written as if they were in one, so that the file's own reader and rules check them.
///
/// The state's records are JSON in the language of the file, and JSON is YAML. Callers need not add all hosts to find
/// two hosts with the same name, since the state finds such hosts at a lower cost.
package struct ItemFile: Sendable {
    package enum Section: String, CaseIterable, Sendable {
        case identities, vaults, issuers, certificates
        case edgeCertificates = "edge_certificates"
        case hosts

        fileprivate var isList: Bool { self == .hosts || self == .edgeCertificates }
    }

    private var items: [Section: [(name: String, record: [UInt8])]] = [:]

    package init() {}

    /// Adds an item with its record. No name may come twice in a section.
    package mutating func add(_ record: [UInt8], named name: String, to section: Section) {
        items[section, default: []].append((name, record))
    }

    /// The configuration that the items declare. The items may contain secrets, unlike records of the state, which
    /// contain only fingerprints of secrets. Throws the errors of all items.
    package func configuration() throws(ItemFaults) -> Configuration {
        let found = faults(readsRecords: false)
        guard found.isEmpty,
            let configuration = Configuration.parse(SourceText(name: "items", bytes: text)).configuration
        else { throw ItemFaults(faults: found) }
        return configuration
    }

    /// The errors of all items, in the order of the sections and of their items. Warnings are left out.
    package func faults() -> [ItemFault] { faults(readsRecords: true) }

    private func faults(readsRecords: Bool) -> [ItemFault] {
        let source = SourceText(name: "items", bytes: text)
        if let fault = YAMLTextCheck.fault(in: source) { return [ItemFault(fault, at: "")] }
        do throws(YAMLFault) {
            let document = try YAMLParser.parse(source)
            guard let root = document.root else { return [] }
            let diagnostics = Configuration.check(document, readsRecords: readsRecords)
            let pointers = document.pointers(from: root)
            return diagnostics.filter { $0.severity == .error }.map { ItemFault($0, at: pointers[$0.position] ?? "") }
                .map(named)
        } catch {
            return [ItemFault(error.diagnostic, at: "")]
        }
    }

    /// Replaces a host's index by its name. Hosts are a list, so a JSON pointer has only the index of a host.
    private func named(_ fault: ItemFault) -> ItemFault {
        guard fault.section == .hosts, let index = Int(fault.name), let hosts = items[.hosts], index < hosts.count
        else { return fault }
        var fault = fault
        fault.name = hosts[index].name
        return fault
    }

    private var text: [UInt8] {
        var text = Array("{\"version\":\(Configuration.version)".utf8)
        for section in Section.allCases {
            guard let items = items[section] else { continue }
            let isList = section.isList
            text += ",\"\(section.rawValue)\":\(isList ? "[" : "{")".utf8
            for (index, item) in items.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                if !isList { text += PlainValue.string(item.name).json() + [UInt8(ascii: ":")] }
                text += item.record
            }
            text.append(UInt8(ascii: isList ? "]" : "}"))
        }
        return text + [UInt8(ascii: "}")]
    }
}

package struct ItemFaults: Error, Sendable {
    package let faults: [ItemFault]
}

/// An error in an item of an `ItemFile`.
package struct ItemFault: Error, Sendable, Equatable {
    /// The item's section and name; nil and empty for a fault that concerns no item.
    package let section: ItemFile.Section?
    package fileprivate(set) var name: String
    /// The place within the item: a JSON pointer (RFC 6901).
    package let pointer: String
    /// The fault, in one line. Never quotes a secret.
    package let message: String
    package let hint: String?

    /// `pointer` is the JSON pointer to the place of the fault, from the root of the file.
    fileprivate init(_ diagnostic: Diagnostic, at pointer: String) {
        let parts = pointer.split(separator: "/", maxSplits: 2)
        section = parts.first.flatMap { ItemFile.Section(rawValue: String($0)) }
        name = parts.count > 1 ? String(parts[1]) : ""
        self.pointer = parts.count > 2 ? "/\(parts[2])" : ""
        message = diagnostic.message
        hint = diagnostic.hint
    }
}

extension YAMLDocument {
    /// The JSON pointers (RFC 6901) of all values below a node, by their places. A key has the pointer of its value.
    fileprivate func pointers(from root: NodeID) -> [SourcePosition: String] {
        var found: [SourcePosition: String] = [:]
        func visit(_ node: NodeID, _ pointer: String) {
            found[position(of: node)] = pointer
            switch kind(of: node) {
            case .mapping:
                for (key, value) in pairs(of: node) {
                    let name = string(of: key).replacing("~", with: "~0").replacing("/", with: "~1")
                    found[position(of: key)] = "\(pointer)/\(name)"
                    visit(value, "\(pointer)/\(name)")
                }
            case .sequence:
                for (index, item) in items(of: node).enumerated() { visit(item, "\(pointer)/\(index)") }
            case .plain, .text, .alias: break
            }
        }
        visit(root, "")
        return found
    }
}
