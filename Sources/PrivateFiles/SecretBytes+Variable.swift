import Glibc
import PKI

extension SecretBytes {
    /// Copies the value of a variable of this process's environment; nil when it is not set or empty.
    package convenience init?(variable name: String) {
        guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
        // This is safe, since no code in this program changes the environment, so the pointer stays valid.
        let bytes = unsafe UnsafeRawBufferPointer(start: value, count: strlen(value))
        self.init(capacity: bytes.count) { output in
            for index in bytes.indices { unsafe output.append(bytes[index]) }
        }
    }
}
