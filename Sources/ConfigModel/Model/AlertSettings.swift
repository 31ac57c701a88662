/// When Aegis reports certificates that will expire, and to whom.
package struct AlertSettings: Sendable, Equatable {
    /// A web service that is called for each alert.
    package struct Webhook: Sendable, Equatable {
        package var url = ServiceURL("")
        /// The Bearer token for the service; nil for none.
        package var token: Secret?
        /// A PEM file of CAs that are trusted for the service; nil for the system's CAs.
        package var caFile: String?
    }

    /// How long before its expiry a certificate is reported, in the order of the file.
    package var expiry: [Duration] = [.seconds(30 * 86_400), .seconds(7 * 86_400), .seconds(86_400)]
    /// Nil if alerts appear only as events, in the log and in metrics.
    package var webhook: Webhook?

    package init() {}

    static let shape = ObjectShape<AlertSettings>(
        "alerts", "When and where to alert that certificates expire", initial: AlertSettings(),
        fields: [
            .defaulted(
                "expiry", \.expiry,
                .list(
                    of: .duration(in: .seconds(60) ... .seconds(3650 * 86_400)), allowsEmpty: false, atMost: 20,
                    "durations"),
                "How long before the end to alert"),
            .optional("webhook", \.webhook, webhook.shape, "A web service that receives the alerts"),
        ])

    private static let webhook = ObjectShape<Webhook>(
        "a webhook", "A web service that receives the alerts", initial: Webhook(),
        fields: [
            .required("url", \.url, .webhookURL, "Its URL"),
            .optional("token", \.token, .secret, "The Bearer token that it expects"),
            .optional("ca_file", \.caFile, .path, "CAs trusted for it, in PEM; else the system's"),
        ])

    package var secrets: [Secret] { [webhook?.token].compactMap(\.self) }
}
