import Gateway
import State

/// A request whose caller is known, with what its answer may be made of.
struct RequestContext {
    var request: AdminRequest
    let caller: Caller
    let store: any StateStore
    /// In seconds since 1970.
    let now: Int64
    let dependencies: AdminAPI.Dependencies
    /// The values of the path's parameters.
    var parameters: [String: String] = [:]
}
