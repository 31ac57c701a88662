import COpenSSL

/// Bytes that must be wiped from memory, such as private keys and opened secrets. The bytes never change, and are wiped
/// when the last reference is released. Descriptions and mirrors don't show them.
@safe
package final class SecretBytes: Sendable {
    package let count: Int
    // Sharing the pointer is sound: only the initializers write to the memory, and only `deinit` frees it.
    private nonisolated(unsafe) let storage: UnsafeMutableBufferPointer<UInt8>

    /// Makes a secret. `fill` writes up to `capacity` bytes directly into the memory that will be wiped later.
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

    /// Copies an array. The caller's array is not wiped, so prefer `init(capacity:_:)` where possible.
    package convenience init(_ bytes: [UInt8]) {
        self.init(capacity: bytes.count) { output in
            for byte in bytes { output.append(byte) }
        }
    }

    /// Copies an array and wipes the array. The array must not have other copies, since those would not be wiped.
    package convenience init(wiping bytes: inout [UInt8]) {
        self.init(bytes)
        // This is safe, since the pointer is used only within this closure, where the array's memory is valid.
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

    /// Random bytes from OpenSSL's generator for secrets.
    package static func random(_ count: Int) throws(PKIError) -> SecretBytes { try OpenSSL.secretRandomBytes(count) }

    deinit { unsafe Self.wipe(storage) }

    private static func wipe(_ storage: UnsafeMutableBufferPointer<UInt8>) {
        // This is safe, since `storage` is the whole allocation, and no caller uses it after this call.
        unsafe OPENSSL_cleanse(storage.baseAddress, storage.count)
        unsafe storage.deallocate()
    }

    /// Lends the bytes to `body`. The span is valid only until `body` returns.
    package func withBytes<Result, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // This is safe, since the first `count` bytes are initialized, and the memory lives as long as `self`.
        defer { extendLifetime(self) }
        return try unsafe body(Span(_unsafeElements: UnsafeBufferPointer(rebasing: storage[..<count])))
    }

    /// Copies the bytes into an array that is not wiped. Callers use it for bytes that are not secret, or that they
    /// write to a file anyway.
    package func plainCopy() -> [UInt8] {
        withBytes { bytes in unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) } }
    }
}

extension SecretBytes: Equatable {
    /// Compares two secrets. The time depends only on the number of bytes, so it reveals nothing about their values.
    package static func == (left: SecretBytes, right: SecretBytes) -> Bool {
        guard left.count == right.count else { return false }
        defer { extendLifetime((left, right)) }
        return unsafe CRYPTO_memcmp(left.storage.baseAddress, right.storage.baseAddress, left.count) == 0
    }
}

extension SecretBytes: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The description shows only the number of bytes, never the bytes.
    package var description: String { "secret (\(count) bytes)" }
    package var debugDescription: String { description }
    /// The mirror has no children, so a dump of the secret shows no bytes.
    package var customMirror: Mirror { Mirror(self, children: []) }
}
