import COpenSSL
import CWipingMemory

/// Sets how OpenSSL allocates and frees memory.
package enum OpenSSLMemory {
    /// Makes OpenSSL wipe memory that it frees while it handles a key: the decoders of OpenSSL 3.0 free copies of keys
    /// without wiping them. Call it once, before any other part of PKI is used.
    package static func wipeWhenFreed() {
        // These functions live as long as the program.
        let isSet = unsafe CRYPTO_set_mem_functions(aegis_wiping_malloc, aegis_wiping_realloc, aegis_wiping_free)
        precondition(isSet == 1, "OpenSSL is in use already")
    }

    /// Stops OpenSSL from freeing memory shared by all threads when the program ends: threads that still run would use
    /// freed memory. Call it once, before any part of PKI but `wipeWhenFreed` is used.
    package static func keepWhenProgramEnds() {
        // OPENSSL_init_crypto(3): no exit handler is registered.
        OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_ATEXIT), nil)
    }

    /// Runs `work` on a key. Memory that OpenSSL frees on this thread meanwhile is wiped.
    static func wiping<Result, Failure: Error>(_ work: () throws(Failure) -> Result) throws(Failure) -> Result {
        aegis_set_wiping(1)
        defer { aegis_set_wiping(0) }
        return try work()
    }
}
