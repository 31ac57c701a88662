import COpenSSL
import CWipingMemory

/// The memory that OpenSSL works with.
package enum OpenSSLMemory {
    /// Has OpenSSL wipe what it gives back while it handles a key: its decoders leave copies of keys there (3.0 does). To be
    /// called once, before anything else of PKI is used.
    package static func wipeWhenFreed() {
        // The functions live as long as the program.
        let isSet = unsafe CRYPTO_set_mem_functions(aegis_wiping_malloc, aegis_wiping_realloc, aegis_wiping_free)
        precondition(isSet == 1, "OpenSSL is in use already")
    }

    /// Keeps OpenSSL from giving back what all threads share when the program ends: threads that still work with it then
    /// would use what is gone. To be called once, before anything else of PKI is used but `wipeWhenFreed`.
    package static func keepWhenProgramEnds() {
        // OPENSSL_init_crypto(3): no exit handler is registered.
        OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_ATEXIT), nil)
    }

    /// Runs work on a key, during which this thread's frees are wiped.
    static func wiping<Result, Failure: Error>(_ work: () throws(Failure) -> Result) throws(Failure) -> Result {
        aegis_set_wiping(1)
        defer { aegis_set_wiping(0) }
        return try work()
    }
}
