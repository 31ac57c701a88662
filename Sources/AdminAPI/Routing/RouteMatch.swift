/// What answers requests with a method and with certain paths.
protocol Addressed {
    var method: String { get }
    var path: PathPattern { get }
}

/// The route of a request, among the API's routes or those of the page.
enum RouteMatch<Entry: Addressed> {
    case found(Entry, parameters: [String: String])
    /// The path can only be used with these methods.
    case otherMethods([String])
    case nothing

    /// HEAD is answered as GET.
    init(_ method: String, _ path: RequestPath, among routes: [Entry]) {
        let method = method == "HEAD" ? "GET" : method
        var others: [String] = []
        for route in routes {
            guard let parameters = route.path.match(path.segments) else { continue }
            if route.method == method {
                self = .found(route, parameters: parameters)
                return
            }
            others += route.method == "GET" ? ["GET", "HEAD"] : [route.method]
        }
        self = others.isEmpty ? .nothing : .otherMethods(others)
    }
}
