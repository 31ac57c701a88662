import Glibc

/// What the system says of itself.
enum SystemName {
    /// The machine's name.
    static var machine: String {
        var name = [CChar](repeating: 0, count: 256)
        // One byte less than there is: the last one stays zero.
        guard unsafe gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// How many processors this process may use.
    static var processors: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}
