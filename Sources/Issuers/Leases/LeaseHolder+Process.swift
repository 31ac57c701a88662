import Glibc
import State
import SystemPackage

extension LeaseHolder {
    /// This process as a holder of leases. The user's name comes from the environment.
    package static func current() -> LeaseHolder {
        LeaseHolder(
            machine: machineName(), scope: processScope(), process: Int(getpid()),
            startTicks: startTicks(of: Int(getpid())) ?? 0,
            user: userName() ?? "uid \(getuid())")
    }

    /// Identifies the boot and the PID namespace. A process number has a meaning only within both.
    private static func processScope() -> String {
        var link = [CChar](repeating: 0, count: 64)
        // This is safe, since readlink(2) writes at most `link.count` bytes.
        let count = unsafe readlink("/proc/self/ns/pid", &link, link.count)
        let namespace = String(decoding: link.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let boot = content(of: "/proc/sys/kernel/random/boot_id").filter { !$0.isWhitespace }
        return "\(boot)/\(namespace)"
    }

    private static func content(of path: String) -> String {
        guard let descriptor = try? FileDescriptor.open(FilePath(path), .readOnly) else { return "" }
        var bytes = [UInt8](repeating: 0, count: 1024)
        // This is safe, since read(2) writes only into the buffer, and the buffer is valid until the closure returns.
        let count = try? descriptor.closeAfter {
            try unsafe bytes.withUnsafeMutableBytes { try unsafe descriptor.read(into: $0) }
        }
        return String(decoding: bytes.prefix(count ?? 0), as: UTF8.self)
    }

    private static func userName() -> String? {
        guard let text = unsafe getenv("USER") else { return nil }
        // This is safe, since no code in this program changes the environment, so the text stays valid.
        let name = unsafe String(cString: text)
        let printable = name.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 }
        return name.isEmpty ? nil : String(String.UnicodeScalarView(printable))
    }

    private static func machineName() -> String {
        var name = [CChar](repeating: 0, count: 256)
        // This is safe, since gethostname(2) writes only to the bytes before the last one. The last byte stays 0 and
        // ends the text.
        guard unsafe gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            .replacing(" ", with: "-")
    }

    /// Whether the process of a holder on this machine still runs. Without /proc this is unknown and the result is
    /// true. The lease then ends only when it expires.
    package static func isAlive(_ holder: LeaseHolder) -> Bool {
        startTicks(of: holder.process) == holder.startTicks || startTicks(of: Int(getpid())) == nil
    }

    /// When a process started, in clock ticks after the boot (field 22 of /proc/PID/stat, proc(5)). Nil if the process
    /// does not exist or is a zombie.
    private static func startTicks(of process: Int) -> UInt64? {
        let text = content(of: "/proc/\(process)/stat")
        // Field 2 is the program's name in parentheses. The name may contain spaces, so the text is split after the
        // last parenthesis.
        let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
        return UInt64(fields[19])
    }
}
