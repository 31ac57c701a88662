import ConfigModel
import Issuers
import PKI
import State

/// The encryption key that seals private keys, and where it comes from.
enum MasterKeySource {
    /// The file or the environment gives the key.
    case given(MasterKey)
    /// The key is stored in the state, beside the keys that it seals.
    case stored(MasterKey)
    /// There was no key, so this process has made one.
    case made(MasterKey)

    var key: MasterKey {
        switch self {
        case .given(let key), .stored(let key), .made(let key): key
        }
    }

    private var isKnown: Bool { if case .made = self { false } else { true } }

    static let variable = "AEGIS_SSL_KEY"

    /// A warning that the key is stored in the state, if neither the file nor the environment gives a key. Does not
    /// read the key.
    static func warnings(_ configuration: Configuration, _ store: (any StateStore)?) -> [Diagnostic] {
        guard !isGiven(for: configuration) else { return [] }
        let isFirst = (try? store?.setting(.sealingKeyID)) == nil
        // If the state was sealed with a given key, there is nothing to warn of here. `refusal` reports that the key is
        // missing.
        guard isFirst || (try? store?.setting(.masterKey)) != nil else { return [] }
        let fact = isFirst ? "a new encryption key is kept in the state" : "the encryption key lies in the state"
        let way = "set \(variable) to the output of 'openssl rand -hex 32'"
        let hint = isFirst ? way : "\(way), and run 'aegis-apply rekey --new-key-env \(variable)'"
        return [.warning(at: .none, "no encryption key is given: \(fact), beside what it seals", hint: hint)]
    }

    private static func isGiven(for configuration: Configuration) -> Bool {
        configuration.encryptionKey != nil || Terminal.environment(variable) != nil
    }

    /// The error about a wrong key, or about a missing key that the state needs. It is only a warning when this machine
    /// does not have the key's file or variable, as on a machine that only plans.
    static func refusal(_ configuration: Configuration, _ reader: SecretReader, _ store: (any StateStore)?)
        -> [Diagnostic]
    {
        let secret = configuration.encryptionKey ?? Secret(.environment(variable))
        do throws(IssuanceFailure) {
            if isGiven(for: configuration) { _ = try reader.read(secret) }
        } catch {
            let text = "the encryption key: \(error.reason)"
            return reader.mayBeElsewhere(secret)
                ? [.warning(at: secret.origin, text, hint: Obstacles.secretHint)]
                : [.error(at: secret.origin, text, hint: error.hint)]
        }
        do {
            if let store {
                _ = try find(configuration, reader, store)
            } else if isGiven(for: configuration) {
                _ = try read(secret, reader)
            }
            return []
        } catch let failure as CommandFailure {
            return [.error(at: secret.origin, failure.message, hint: failure.hint)]
        } catch {
            return [.error(at: secret.origin, "the encryption key can't be checked: \(error)")]
        }
    }

    /// The key for a state, checked against the key that the state was sealed with.
    static func find(_ configuration: Configuration?, _ reader: SecretReader, _ store: any StateStore) throws
        -> MasterKeySource
    {
        let source = try candidate(configuration, reader, store)
        if let id = try sealingKeyID(of: store), id != source.key.id {
            guard source.isKnown else {
                throw CommandFailure(
                    message: "the state is sealed with the encryption key \(id), and no key is given",
                    hint: "set \(variable) to that key, or encryption.key in the file")
            }
            let first = try firstCertificate(in: store).map { " (certificate '\($0.name)' among others)" } ?? ""
            throw CommandFailure(
                message: "the state is sealed with another encryption key: \(id)\(first), and this is \(source.key.id)",
                hint: "give the key it was sealed with, or change it with 'aegis-apply rekey'")
        }
        return source
    }

    /// The ID of the key that a state is sealed with: from its settings or, when these are lost, from a sealed value.
    /// Nil before anything is sealed.
    private static func sealingKeyID(of store: any StateStore) throws -> String? {
        if let id = try store.setting(.sealingKeyID) { return String(decoding: id, as: UTF8.self) }
        let text = try store.sealedText(ofGeneration: store.position().generation)
        guard let sealed = try firstCertificate(in: store)?.sealedKey ?? text else { return nil }
        do {
            return try Sealer.keyID(of: sealed)
        } catch {
            throw CommandFailure(message: "the state does not say which key it is sealed with: \(error)")
        }
    }

    private static func firstCertificate(in store: any StateStore) throws -> StoredCertificate? {
        var first: StoredCertificate?
        try store.forEachCertificate { first = first ?? $0 }
        return first
    }

    private static func candidate(_ configuration: Configuration?, _ reader: SecretReader, _ store: any StateStore)
        throws -> MasterKeySource
    {
        if let secret = configuration?.encryptionKey { return .given(try read(secret, reader)) }
        if Terminal.environment(variable) != nil { return .given(try read(Secret(.environment(variable)), reader)) }
        if let key = try stored(in: store) { return .stored(key) }
        do {
            return .made(try MasterKey.generate())
        } catch {
            throw CommandFailure(message: "no encryption key can be made: \(error)")
        }
    }

    /// The key that is stored in the state itself; nil when there is none.
    static func stored(in store: any StateStore) throws -> MasterKey? {
        guard var hex = try store.setting(.masterKey) else { return nil }
        guard let key = try? MasterKey(hex: SecretBytes(wiping: &hex)) else {
            throw CommandFailure(message: "the encryption key in the state is damaged")
        }
        return key
    }

    static func read(_ secret: Secret, _ reader: SecretReader) throws -> MasterKey {
        do {
            return try MasterKey(hex: try reader.read(secret))
        } catch let failure as IssuanceFailure {
            throw CommandFailure(message: "the encryption key: \(failure.reason)", hint: failure.hint)
        } catch {
            throw CommandFailure(message: "the encryption key (\(secret)): \(error)")
        }
    }

    /// The mutations with which a first commit stores the key's ID. If the operator gave no key, they also store the
    /// key.
    var mutations: [StateMutation] {
        var mutations = [StateMutation.putSetting(.sealingKeyID, Array(key.id.utf8))]
        if case .made(let key) = self {
            // `plainCopy` is not wiped from memory. That does no harm, since this key is stored in the state as plain
            // text anyway.
            mutations.append(.putSetting(.masterKey, key.hex().plainCopy()))
        }
        return mutations
    }
}
