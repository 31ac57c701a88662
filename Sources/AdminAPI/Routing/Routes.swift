/// All that the API does.
enum Routes {
    static let all: [Route] =
        [
            StatusRoutes.all, CertificateRoutes.all, HostRoutes.all, GatewayRoutes.all, HistoryRoutes.all,
            PlanRoutes.all,
            TrustBundle.routes, [OpenAPIDocument.route],
        ].flatMap(\.self)
}
