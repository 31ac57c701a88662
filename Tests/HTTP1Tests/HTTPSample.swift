import Foundation
import TestSupport

/// A request in `Tests/Samples/http1`, and what a gateway must do with it.
struct HTTPSample: Decodable, Sendable, CustomStringConvertible {
    let name: String
    /// Each character stands for the byte with its number (Latin-1).
    let bytes: String
    /// For a malformed request: the status of the answer.
    let status: Int?
    /// For a valid request: what the upstream must receive.
    let method: String?
    let path: String?
    let body: String?

    var description: String { name }
    var octets: [UInt8] { bytes.latin1 }

    static let malformed = load("malformed")
    static let valid = load("valid")

    private static func load(_ name: String) -> [HTTPSample] {
        let path = Repository.path("Tests/Samples/http1/\(name).json")
        guard let data = FileManager.default.contents(atPath: path) else { fatalError("\(path) can't be read") }
        do { return try JSONDecoder().decode([HTTPSample].self, from: data) } catch { fatalError("\(path): \(error)") }
    }
}

extension String {
    /// The text in Latin-1. Traps on a character above U+00FF.
    var latin1: [UInt8] { unicodeScalars.map { UInt8($0.value) } }

    init(latin1 bytes: some Sequence<UInt8>) {
        self.init()
        unicodeScalars.append(contentsOf: bytes.map { Unicode.Scalar($0) })
    }
}
