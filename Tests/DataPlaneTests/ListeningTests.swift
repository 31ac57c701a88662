import ConfigModel
import Glibc
import Testing

@testable import Gateway

@Suite struct ListeningTests {
    @Test("Only an error at a port below 1024 explains CAP_NET_BIND_SERVICE")
    func capability() throws {
        let gateway = try #require(GatewaySettings(record: Array(#"{"http":[":80",":8080"]}"#.utf8)))
        func reason(_ code: Int32, _ index: Int) -> String {
            ListeningSockets.reason(for: SystemFailure("bind", code: code), at: gateway.http[index])
        }
        #expect(
            reason(EACCES, 0)
                == "Permission denied: ports below 1024 need CAP_NET_BIND_SERVICE, by AmbientCapabilities= in a systemd"
                + " unit or 'setcap cap_net_bind_service=+ep' on the program")
        #expect(reason(EACCES, 1) == "Permission denied")
        #expect(reason(EADDRINUSE, 0) == "Address already in use")
    }
}
