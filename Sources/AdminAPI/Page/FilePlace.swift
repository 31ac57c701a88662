import ConfigModel
import Issuers
import PKI
import State
import SystemPackage

/// Where the file declares an item.
enum FilePlace {
    /// The largest text that is parsed to find the line. A larger one would delay the page too much.
    private static let maximumBytes = 1 << 20

    /// The file's path, and the line if the text that was applied last is known. Nil if nothing was ever applied.
    static func of(_ id: ItemID, _ context: RequestContext) throws -> String? {
        guard let latest = try context.store.generations(before: nil, limit: 1).first else { return nil }
        let name = FilePath(latest.fileName).lastComponent?.string ?? latest.fileName
        let path = FilePath(latest.directory).appending(name)
        guard let line = try line(of: id, inGeneration: latest.number, context) else { return path.string }
        return "\(path.string):\(line)"
    }

    private static func line(of id: ItemID, inGeneration number: Int, _ context: RequestContext) throws -> Int? {
        guard let sealed = try context.store.sealedText(ofGeneration: number), sealed.count <= maximumBytes else {
            return nil
        }
        let sealer = Sealer(key: try context.dependencies.writing.masterKey(context.store))
        guard let text = try? sealer.open(sealed, purpose: SealPurpose.generation, row: "\(number)"),
            let configuration = Configuration.parse(SourceText(name: "file", bytes: text.plainCopy())).configuration
        else { return nil }
        let origin =
            switch id.kind {
            case .host: configuration.hosts.first { $0.domain.text == id.name }?.origin
            case .certificate:
                configuration.certificates.first { $0.name == id.name }?.origin
                    ?? configuration.hosts.first { $0.domain.text == id.name }?.origin
            default: SourceOrigin?.none
            }
        return origin?.position.line
    }
}
