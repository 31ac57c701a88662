import ConfigModel
import PKI
import Testing

/// ConfigModel repeats the limits of `PeerRules`, since it can't import PKI. Both must be equal.
@Suite struct PeerLimitTests {
    @Test("The file's bounds on lists and names of peers are those of the rules that they become")
    func bounds() {
        #expect(ClientAuthSettings.maximumLists == RevocationList.maximumLists)
        #expect(PeerNameText.maximumPatterns == PeerRules.maximumAuthorities)
    }
}
