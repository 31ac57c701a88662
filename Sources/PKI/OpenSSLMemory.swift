import COpenSSL
import CWipingMemory

/// The memory that OpenSSL works with.
public enum OpenSSLMemory {
    /// Has OpenSSL wipe what it gives back while it handles a key: its decoders leave copies of keys there (3.0 does). To be
    /// called once, before anything else of PKI is used.
    public static func wipeWhenFreed() {
        // The functions live as long as the program.
        let isSet = unsafe CRYPTO_set_mem_functions(aegis_wiping_malloc, aegis_wiping_realloc, aegis_wiping_free)
        precondition(isSet == 1, "OpenSSL is in use already")
    }

    /// Runs work on a key, during which this thread's frees are wiped.
    static func wiping<Result, Failure: Error>(_ work: () throws(Failure) -> Result) throws(Failure) -> Result {
        aegis_set_wiping(1)
        defer { aegis_set_wiping(0) }
        return try work()
    }
}
