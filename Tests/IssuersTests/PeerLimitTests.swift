import ConfigModel
import PKI
import Testing

/// The file accepts what PKI can verify by, and no more. ConfigModel does without PKI, so it has the numbers again.
@Suite struct PeerLimitTests {
    @Test("The file's bounds on lists and names of peers are those of the rules that they become")
    func bounds() {
        #expect(ClientAuthSettings.maximumLists == RevocationList.maximumLists)
        #expect(PeerNameText.maximumPatterns == PeerRules.maximumAuthorities)
    }
}
