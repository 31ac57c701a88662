import COpenSSL

/// The memory that OpenSSL works with.
public enum OpenSSLMemory {
    /// Has OpenSSL wipe all memory that it gives back: its decoders leave copies of keys there (3.0 does). To be called once,
    /// before anything else of PKI is used.
    public static func wipeWhenFreed() {
        precondition(aegis_wipe_freed_memory() == 1, "OpenSSL is in use already")
    }
}
