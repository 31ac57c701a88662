import ConfigModel
import PKI
import Testing

/// ConfigModel repeats the limits of `PeerRules`, since it can't import PKI. Both must be equal.
@Suite struct PeerLimitTests {
    @Test("The file and the peer rules have the same limits for lists and names")
    func bounds() {
        #expect(ClientAuthSettings.maximumLists == RevocationList.maximumLists)
        #expect(PeerNameText.maximumPatterns == PeerRules.maximumAuthorities)
    }
}
