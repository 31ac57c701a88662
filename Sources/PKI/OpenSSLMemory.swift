import COpenSSL
import CWipingMemory

/// Controls how OpenSSL allocates and frees memory.
package enum OpenSSLMemory {
    /// Installs memory functions that wipe freed memory while OpenSSL handles a key. The decoders of OpenSSL 3.0 don't
    /// wipe their copies of keys. The program must call this once, before it uses any other part of PKI.
    package static func wipeWhenFreed() {
        // OpenSSL keeps the pointers to these functions, which is sound because functions are never freed.
        let isSet = unsafe CRYPTO_set_mem_functions(aegis_wiping_malloc, aegis_wiping_realloc, aegis_wiping_free)
        precondition(isSet == 1, "OpenSSL is in use already")
    }

    /// Prevents OpenSSL from freeing its shared memory when the program exits, since other threads may still use that
    /// memory. The program must call this once, before it uses any part of PKI except `wipeWhenFreed`.
    package static func keepWhenProgramEnds() {
        // With this option, OpenSSL installs no exit handler (OPENSSL_init_crypto(3)).
        OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_ATEXIT), nil)
    }

    /// Runs `work`, which handles a key. Meanwhile all memory that OpenSSL frees on this thread is wiped.
    static func wiping<Result, Failure: Error>(_ work: () throws(Failure) -> Result) throws(Failure) -> Result {
        aegis_set_wiping(1)
        defer { aegis_set_wiping(0) }
        return try work()
    }
}
