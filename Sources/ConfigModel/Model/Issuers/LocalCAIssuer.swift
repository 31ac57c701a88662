/// The local CA, which Aegis operates itself.
package struct LocalCAIssuer: IssuerKind {
    package static let typeName = "local_ca"

    static let shape = ObjectShape<LocalCAIssuer>(
        "a local CA", "The CA that Aegis keeps itself", initial: LocalCAIssuer(),
        fields: [.tag("type", typeName, "The CA that Aegis keeps itself")])
}
