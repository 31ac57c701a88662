import Glibc

/// Sends status messages to systemd (sd_notify(3)). Does nothing if NOTIFY_SOCKET is not set.
enum ServiceNotice {
    static func send(_ text: String) {
        // This is safe, since the value is copied at once, and nothing in this process changes the environment.
        guard let path = unsafe getenv("NOTIFY_SOCKET").map({ unsafe String(cString: $0) }), !path.isEmpty,
            path.utf8.count <= 107
        else { return }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { Socket.close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(path.utf8)
        // In NOTIFY_SOCKET an `@` stands for the zero byte at the start of an abstract socket's name.
        if name[0] == UInt8(ascii: "@") { name[0] = 0 }
        // This is safe, since `name` has at most 107 bytes and `sun_path` has 108.
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: name) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
        let message = Array(text.utf8)
        // This is safe, since `sendto` reads only `length` bytes of the address and the bytes of the message. A failure
        // is ignored.
        _ = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe sendto(descriptor, message, message.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
    }
}
