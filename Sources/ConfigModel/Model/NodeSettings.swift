import PeerNames

/// The settings of this gateway as one of several nodes: its ID, its node listener, and the clients of that listener.
package struct NodeSettings: Sendable, Equatable {
    /// What a client of the node listener may do.
    package enum Scope: String, ChoiceValue {
        /// Read health, metrics and the API.
        case read
        /// Read as with `read`, and make the changes that the API offers.
        case write
    }

    /// A client that may use the node listener.
    package struct Allowed: Sendable, Equatable {
        /// The pattern that a SAN of the client's certificate must match.
        package var san = PeerNamePattern(.dns(""))
        package var scope = Scope.read
    }

    /// The node's identifier; nil: the machine's name.
    package var id: String?
    /// A name for people to read.
    package var name: String?
    /// The address of the node listener; nil: there is none.
    package var address: NodeAddress?
    /// The name of the identity that the node listener shows. Clients must have certificates from its CAs.
    package var identity: String?
    /// The clients that may use the node listener. If several entries match a client, the widest scope counts.
    package var allowed: [Allowed] = []

    static let shape = ObjectShape<NodeSettings>(
        "a node", "This gateway among others", initial: NodeSettings(),
        fields: [
            .optional("id", \.id, .name, "Its identifier; left out: the machine's name"),
            .optional("name", \.name, .string("a name", lengths: 1...1000), "Its name for people to read"),
            .optional(
                "address", \.address, .nodeAddress,
                "The address of the node listener, for mutual TLS; left out: there is no such listener"),
            .optional(
                "identity", \.identity, .name, "The identity that it shows, and by whose CAs it verifies clients"),
            .defaulted(
                "allow", \.allowed, .list(of: allowed.shape, atMost: 1000, "clients"),
                "Which clients may use it, by a SAN of their certificate, and for what"),
        ])

    private static let allowed = ObjectShape<Allowed>(
        "an allowed client", "A client of the node listener", initial: Allowed(),
        fields: [
            .required("san", \.san, .peerNamePattern, "Matches a SAN of the client's certificate"),
            .required("scope", \.scope, .choice("scope"), "What the client may do"),
        ])
}

/// The address at which other nodes reach this node.
package struct NodeAddress: Sendable, Hashable {
    /// The host's name or address. An IPv6 address is in brackets, as in a URL.
    package let host: String
    package let port: Int
    /// The address to listen at: all interfaces if the host is a name.
    package let listener: ListenAddress

    /// The address as the file writes it.
    package var text: String { "\(host):\(port)" }

    static func parse(_ text: String) throws(ValueFault) -> NodeAddress {
        let parsed = try HostPort.parse(text)
        guard let port = parsed.port else {
            throw ValueFault("no port in \(text.quotedForMessage)", hint: "write it as host:port")
        }
        let address: IPAddress?
        switch parsed.host {
        case .any:
            throw ValueFault(
                "no host in \(text.quotedForMessage)", hint: "write the name or address at which others reach this node"
            )
        case .address(let given): address = given
        case .name(let name):
            guard !name.hasPrefix("*") else {
                throw ValueFault("a node's address can't be a wildcard: \(text.quotedForMessage)")
            }
            address = nil
        }
        return NodeAddress(
            host: parsed.hostText, port: port, listener: ListenAddress(address: address, port: port))
    }
}

extension ValueShape where Value == NodeAddress {
    fileprivate static let nodeAddress = text(
        "an address such as edge-1.example.com:8444", .string("host:port", examples: ["edge-1.example.com:8444"]),
        parse: NodeAddress.parse, format: \.text)
}
