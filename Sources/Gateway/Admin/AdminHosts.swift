import ConfigModel

/// The hosts that requests to the admin listener may ask for: addresses, `localhost`, and the machine's own name.
///
/// A page of any site can have its own name lead to this machine's address (DNS rebinding), and would then read the answers
/// as its own. Its name always stands in Host, and is none of these.
struct AdminHosts: Sendable {
    private let names: Set<String>

    /// `machine`: the machine's name, with its domain or without.
    init(machine: String) { names = Set(["localhost"] + Self.names(of: machine)) }

    /// How a machine is called: by its name, and by the first label of that alone, as no site is.
    static func names(of machine: String) -> [String] {
        let machine = machine.lowercased()
        return [machine, String(machine.prefix { $0 != "." })]
    }

    /// Whether a host, which was found well-formed, may be asked for. A request of HTTP/1.0 without one is no browser's.
    func contains(_ host: String) -> Bool {
        host.isEmpty || host.hasPrefix("[") || IPAddress(host) != nil || names.contains(host.lowercased())
    }
}
