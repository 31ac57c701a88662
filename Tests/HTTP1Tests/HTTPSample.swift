import Foundation
import TestSupport

/// A request of `Tests/Samples/http1`, with what a gateway must make of it.
struct HTTPSample: Decodable, Sendable, CustomStringConvertible {
    let name: String
    /// A character stands for the byte of its number (Latin-1).
    let bytes: String
    /// Of a malformed request: the status it is answered with.
    let status: Int?
    /// Of a valid request: what an upstream is to see.
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
    /// Each character as the byte of its number.
    var latin1: [UInt8] { unicodeScalars.map { UInt8($0.value) } }

    init(latin1 bytes: some Sequence<UInt8>) {
        self.init()
        unicodeScalars.append(contentsOf: bytes.map { Unicode.Scalar($0) })
    }
}
