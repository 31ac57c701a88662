/// The API's routes. A route that is missing in this list does not exist for clients.
enum Routes {
    static let all: [Route] =
        [
            StatusRoutes.all, CertificateRoutes.all, CloudflareOrders.all, HostRoutes.all, GatewayRoutes.all,
            HistoryRoutes.all,
            [EventStream.route], PlanRoutes.all, [SnapshotRoute.route], TrustBundle.routes, [OpenAPIDocument.route],
        ].flatMap(\.self)
}
