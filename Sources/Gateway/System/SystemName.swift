import Glibc

package enum SystemName {
    /// The machine's host name, or `unknown` if the system does not report a name.
    package static var machine: String {
        var name = [CChar](repeating: 0, count: 256)
        // This is safe, since `gethostname` may write one byte less than the array has. The last byte stays zero and
        // ends the name.
        guard unsafe gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The number of processors that are online.
    static var processors: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}
