import CIDN2
import Glibc

/// Converts international host names by libidn2, in the way of browsers: IDNA 2008 with the mapping of UTS 46.
enum IDNA {
    struct Fault: Error {
        let reason: String
    }

    /// The name with A-labels, or the reason why it has no such form.
    static func wireForm(of name: String) -> Result<String, Fault> {
        var output: UnsafeMutablePointer<UInt8>?
        let flags = Int32(bitPattern: IDN2_NFC_INPUT.rawValue | IDN2_NONTRANSITIONAL.rawValue)
        let code = unsafe name.withCString { text in
            // This is safe, since idn2 reads the text up to its NUL. It allocates the output, which is freed below.
            unsafe text.withMemoryRebound(to: UInt8.self, capacity: name.utf8.count + 1) { bytes in
                unsafe idn2_lookup_u8(bytes, &output, flags)
            }
        }
        guard code == IDN2_OK.rawValue, let result = unsafe output else {
            return .failure(Fault(reason: unsafe String(cString: idn2_strerror(code))))
        }
        defer { unsafe idn2_free(result) }
        return .success(unsafe String(cString: result))
    }
}
