import ConfigModel
import Glibc
import PKI
import State
import SystemPackage

/// Looks up what the file only refers to: variables and files.
package struct SecretReader: Sendable {
    /// Where relative paths start.
    package let directory: FilePath
    /// Finds a secret that stands in the file by its fingerprint, where the file is not at hand.
    private let kept: @Sendable (String) throws -> SecretBytes?

    /// A reader for a file in this directory.
    package init(directory: FilePath) {
        self.directory = directory
        kept = { _ in nil }
    }

    /// A reader for those who work from the state alone: secrets that stand in the file are sealed there.
    package init(directory: FilePath, store: any StateStore, sealer: Sealer) {
        self.directory = directory
        kept = { fingerprint in
            try store.sealedSecrets()[fingerprint].map {
                try sealer.open($0, purpose: SealPurpose.issuerSecret, row: fingerprint)
            }
        }
    }

    /// A path of the file, as it is from the working directory.
    package func resolve(_ path: String) -> FilePath {
        var path = FilePath(path)
        if path.isAbsolute { return path }
        // "./x" in the directory "." is "./x" too.
        path.components.removeAll { $0.kind == .currentDirectory }
        return directory.pushing(path)
    }

    /// The secret, without one line end (LF or CR LF) after it in a file. The failure says where it should have been.
    package func read(_ secret: Secret) throws(IssuanceFailure) -> SecretBytes {
        switch secret.source {
        case .inline(let text): return SecretBytes(Array(text.utf8))
        case .fingerprint(let fingerprint):
            do {
                if let secret = try kept(fingerprint) { return secret }
            } catch {
                throw IssuanceFailure("the secret that stands in the file: \(error)")
            }
            throw IssuanceFailure("the secret stood in a file that is not at hand")
        case .environment(let name):
            guard let value = Self.variable(name) else {
                throw IssuanceFailure("the variable \(name) is not set")
            }
            return value
        case .file(let path): return try readFile(path)
        }
    }

    private func readFile(_ path: String) throws(IssuanceFailure) -> SecretBytes {
        let content: SecretBytes
        do {
            let descriptor = try PrivateFile.open(resolve(path))
            content = try descriptor.closeAfter {
                try PrivateFile.readAll(descriptor, atMost: PrivateFile.maxBytes + 1)
            }
        } catch {
            throw IssuanceFailure("cannot read '\(path)': \(error)")
        }
        guard content.count <= PrivateFile.maxBytes else { throw IssuanceFailure("'\(path)' is larger than 1 MiB") }
        return content.withBytes { bytes in
            var end = bytes.count
            for byte in [UInt8(ascii: "\n"), UInt8(ascii: "\r")] {
                guard end > 0, bytes[end - 1] == byte else { break }
                end -= 1
            }
            return SecretBytes(capacity: end) { output in
                for index in 0..<end { output.append(bytes[index]) }
            }
        }
    }

    private static func variable(_ name: String) -> SecretBytes? {
        guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
        // The environment is not changed while the program runs.
        let bytes = unsafe UnsafeRawBufferPointer(start: value, count: strlen(value))
        return SecretBytes(capacity: bytes.count) { output in
            for index in bytes.indices { unsafe output.append(bytes[index]) }
        }
    }
}
