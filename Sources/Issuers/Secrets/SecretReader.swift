import ConfigModel
import Glibc
import PKI
import PrivateFiles
import State
import SystemPackage

/// Reads the secrets and PEM texts that aegis.yaml contains or refers to: inline texts, environment variables and
/// files.
package struct SecretReader: Sendable {
    /// Relative paths in aegis.yaml are relative to this directory.
    package let directory: FilePath
    /// Finds an inline secret in the state by its fingerprint, for a process that does not have aegis.yaml.
    private let kept: @Sendable (String) throws -> SecretBytes?

    /// Makes a reader for an aegis.yaml in this directory.
    package init(directory: FilePath) {
        self.directory = directory
        kept = { _ in nil }
    }

    /// Makes a reader for a process without aegis.yaml. The state contains the file's inline secrets in sealed form.
    package init(directory: FilePath, store: any StateStore, sealer: Sealer) {
        self.init(directory: directory, sealer: sealer) { store }
    }

    /// Makes a reader for a process that does not keep the state open. `store` is called when an inline secret is read.
    package init(directory: FilePath, sealer: Sealer, store: @escaping @Sendable () throws -> any StateStore) {
        self.directory = directory
        kept = { fingerprint in
            try store().sealedSecrets()[fingerprint].map {
                try sealer.open($0, purpose: SealPurpose.issuerSecret, row: fingerprint)
            }
        }
    }

    /// Converts a path in aegis.yaml, which is relative to the file's directory, to a path relative to the working
    /// directory.
    package func resolve(_ path: String) -> FilePath {
        var path = FilePath(path)
        if path.isAbsolute { return path }
        // The dots are removed, so that "./x" in the directory "." becomes "./x" and not "././x".
        path.components.removeAll { $0.kind == .currentDirectory }
        return directory.pushing(path)
    }

    /// Reads a secret. If a file ends with a line end (LF or CR LF), that line end is removed. A failure names the
    /// variable or file.
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
            guard let value = SecretBytes(variable: name) else {
                throw IssuanceFailure("the variable \(name) is not set")
            }
            return value
        case .file(let path): return try readFile(path)
        }
    }

    /// Reads a secret of one line, such as a token. Removes white space at its ends. Throws if the rest is empty or
    /// contains a control character, which no header field may have (RFC 9110 section 5.5).
    package func readLine(_ secret: Secret) throws(IssuanceFailure) -> SecretBytes {
        let content = try read(secret)
        return try content.withBytes { (bytes) throws(IssuanceFailure) in
            let isBlank = { (byte: UInt8) in byte == 0x20 || 0x09...0x0D ~= byte }
            guard let start = bytes.indices.first(where: { !isBlank(bytes[$0]) }),
                let last = bytes.indices.last(where: { !isBlank(bytes[$0]) })
            else { throw IssuanceFailure("the secret is empty (\(secret))") }
            for index in start...last where bytes[index] < 0x20 || bytes[index] == 0x7F {
                throw IssuanceFailure(
                    "the secret has a line break or another control character in it (\(secret))",
                    hint: "it must be on one line")
            }
            return SecretBytes(capacity: last + 1 - start) { output in
                for index in start...last { output.append(bytes[index]) }
            }
        }
    }

    /// Whether another user or machine may have a secret that can't be read here: its variable is not set, or its file
    /// does not exist or may not be read.
    package func mayBeElsewhere(_ secret: Secret) -> Bool {
        switch secret.source {
        case .inline: return false
        case .fingerprint: return true
        case .environment(let name): return SecretBytes(variable: name) == nil
        case .file(let path):
            let path = resolve(path)
            // This is safe, since access(2) reads the path only during the call.
            return unsafe path.withPlatformString { unsafe access($0, R_OK) } != 0
        }
    }

    private func readFile(_ path: String) throws(IssuanceFailure) -> SecretBytes {
        let content: SecretBytes
        do {
            content = try PrivateFile.content(of: resolve(path), atMost: PrivateFile.maxBytes + 1)
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
}
