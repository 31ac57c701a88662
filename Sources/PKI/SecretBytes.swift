import COpenSSL

/// Bytes that must not stay in memory: private keys, the master key, opened secrets. They never change, and are wiped
/// when the last reference goes. Descriptions and mirrors reveal none of them.
@safe
package final class SecretBytes: Sendable {
    package let count: Int
    // Sound to share: only the initializers write it, and only deinit frees it.
    private nonisolated(unsafe) let storage: UnsafeMutableBufferPointer<UInt8>

    /// Makes a secret of at most `capacity` bytes, which `fill` writes directly into the memory that will be wiped.
    package init<Failure: Error>(
        capacity: Int, _ fill: (inout OutputSpan<UInt8>) throws(Failure) -> Void
    ) throws(Failure) {
        let storage = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: capacity)
        var output = unsafe OutputSpan(buffer: storage, initializedCount: 0)
        do throws(Failure) {
            try fill(&output)
        } catch {
            _ = unsafe output.finalize(for: storage)
            unsafe Self.wipe(storage)
            throw error
        }
        unsafe count = output.finalize(for: storage)
        unsafe self.storage = storage
    }

    /// Copies some bytes. The caller's array can't be wiped from here, so prefer `fill` where there is a choice.
    package convenience init(_ bytes: [UInt8]) {
        self.init(capacity: bytes.count) { output in
            for byte in bytes { output.append(byte) }
        }
    }

    /// Copies an array and wipes it. Nobody else may have a copy of the array, since that would not be wiped.
    package convenience init(wiping bytes: inout [UInt8]) {
        self.init(bytes)
        // The call uses the array's bytes only until it returns.
        unsafe bytes.withUnsafeMutableBytes { unsafe OPENSSL_cleanse($0.baseAddress, $0.count) }
        bytes = []
    }

    package convenience init(joining parts: [SecretBytes]) {
        self.init(capacity: parts.reduce(0) { $0 + $1.count }) { output in
            for part in parts {
                part.withBytes { bytes in
                    for index in bytes.indices { output.append(bytes[index]) }
                }
            }
        }
    }

    deinit { unsafe Self.wipe(storage) }

    private static func wipe(_ storage: UnsafeMutableBufferPointer<UInt8>) {
        // `storage` is the whole allocation, and is not used afterwards.
        unsafe OPENSSL_cleanse(storage.baseAddress, storage.count)
        unsafe storage.deallocate()
    }

    /// Lends the bytes for as long as `body` runs.
    package func withBytes<Result, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // The first `count` bytes are initialized, and the memory lives as long as self.
        defer { extendLifetime(self) }
        return try unsafe body(Span(_unsafeElements: UnsafeBufferPointer(rebasing: storage[..<count])))
    }

    /// A copy that is not wiped, for bytes that are not secret or are about to be written out.
    package func plainCopy() -> [UInt8] {
        withBytes { bytes in unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) } }
    }
}

extension SecretBytes: Equatable {
    /// Whether both contain the same bytes. How long the comparison takes depends only on the number of bytes.
    package static func == (left: SecretBytes, right: SecretBytes) -> Bool {
        guard left.count == right.count else { return false }
        defer { extendLifetime((left, right)) }
        return unsafe CRYPTO_memcmp(left.storage.baseAddress, right.storage.baseAddress, left.count) == 0
    }
}

extension SecretBytes: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The number of bytes; never the bytes.
    package var description: String { "secret (\(count) bytes)" }
    package var debugDescription: String { description }
    /// Without children, so that a dump shows none of the bytes.
    package var customMirror: Mirror { Mirror(self, children: []) }
}
