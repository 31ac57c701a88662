/// A route of the API or of the page, found by method and path.
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

    /// HEAD is answered as GET. If a path fits several patterns, those with the fewest parameters count.
    init(_ method: String, _ path: RequestPath, among routes: [Entry]) {
        let method = method == "HEAD" ? "GET" : method
        let all = routes.compactMap { route in route.path.match(path.segments).map { (route: route, parameters: $0) } }
        let least = all.map(\.parameters.count).min()
        let found = all.filter { $0.parameters.count == least }
        if let (route, parameters) = found.first(where: { $0.route.method == method }) {
            self = .found(route, parameters: parameters)
        } else if found.isEmpty {
            self = .nothing
        } else {
            self = .otherMethods(found.flatMap { $0.route.method == "GET" ? ["GET", "HEAD"] : [$0.route.method] })
        }
    }
}
