import Glibc
import State
import SystemPackage

extension LeaseHolder {
    /// This process, with the user's name from the environment.
    package static func current() -> LeaseHolder {
        LeaseHolder(
            machine: machineName(), scope: processScope(), process: Int(getpid()),
            startTicks: startTicks(of: Int(getpid())) ?? 0,
            user: userName() ?? "uid \(getuid())")
    }

    /// Identifies the boot and the PID namespace: process numbers of another boot or namespace mean nothing here.
    private static func processScope() -> String {
        var link = [CChar](repeating: 0, count: 64)
        // The call writes at most the buffer's length.
        let count = unsafe readlink("/proc/self/ns/pid", &link, link.count)
        let namespace = String(decoding: link.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let boot = content(of: "/proc/sys/kernel/random/boot_id").filter { !$0.isWhitespace }
        return "\(boot)/\(namespace)"
    }

    private static func content(of path: String) -> String {
        guard let descriptor = try? FileDescriptor.open(FilePath(path), .readOnly) else { return "" }
        var bytes = [UInt8](repeating: 0, count: 1024)
        // `read` uses the buffer only during the call.
        let count = try? descriptor.closeAfter {
            try unsafe bytes.withUnsafeMutableBytes { try unsafe descriptor.read(into: $0) }
        }
        return String(decoding: bytes.prefix(count ?? 0), as: UTF8.self)
    }

    private static func userName() -> String? {
        guard let text = unsafe getenv("USER") else { return nil }
        // The text is in the environment, which no code here changes.
        let name = unsafe String(cString: text)
        let printable = name.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 }
        return name.isEmpty ? nil : String(String.UnicodeScalarView(printable))
    }

    private static func machineName() -> String {
        var name = [CChar](repeating: 0, count: 256)
        // gethostname gets one byte less than the buffer has, so the last byte stays 0.
        guard unsafe gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            .replacing(" ", with: "-")
    }

    /// Whether a holder on this machine still runs. Without /proc this is unknown and the result is true; then the
    /// lease ends only when it expires.
    package static func isAlive(_ holder: LeaseHolder) -> Bool {
        startTicks(of: holder.process) == holder.startTicks || startTicks(of: Int(getpid())) == nil
    }

    /// When a process started, in clock ticks after the boot (field 22 of its stat, proc(5)); nil when there is no such
    /// process, or it is a zombie.
    private static func startTicks(of process: Int) -> UInt64? {
        let text = content(of: "/proc/\(process)/stat")
        // The second field is a name in parentheses, which may contain spaces.
        let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
        return UInt64(fields[19])
    }
}
