import ConfigModel

/// The hosts that requests to the admin listener may ask for: addresses, `localhost`, and the machine's own name.
///
/// A web page of any site can point its own host name at this machine's address (DNS rebinding) and then read the admin
/// answers. The browser puts that name into Host, and no such name is allowed here.
struct AdminHosts: Sendable {
    private let names: Set<String>

    /// `machine` is the machine's name, with or without its domain.
    init(machine: String) { names = Set(["localhost"] + Self.names(of: machine)) }

    /// The two names of a machine in lower case: its full name, and the first label of the full name. Both may be the
    /// same.
    static func names(of machine: String) -> [String] {
        let machine = machine.lowercased()
        return [machine, String(machine.prefix { $0 != "." })]
    }

    /// Whether a request may name this host. An empty host is allowed: an HTTP/1.0 client may send no Host field, but
    /// browsers always send it.
    func contains(_ host: String) -> Bool {
        host.isEmpty || host.hasPrefix("[") || IPAddress(host) != nil || names.contains(host.lowercased())
    }
}
