// OpenSSL 3: keys, X.509, AES-GCM (https://docs.openssl.org/3.0/). Functions below stand in for macros and variadics,
// which Swift can't call.
#ifndef AEGIS_COPENSSL_H
#define AEGIS_COPENSSL_H
#include <openssl/asn1.h>
#include <openssl/crypto.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static inline EVP_PKEY *aegis_generate_ec(const char *curve) {
    return EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
}

static inline EVP_PKEY *aegis_generate_rsa(size_t bits) {
    return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", bits);
}

static inline OSSL_ENCODER_CTX *aegis_pkcs8_encoder(const EVP_PKEY *key) {
    return OSSL_ENCODER_CTX_new_for_pkey(key, EVP_PKEY_KEYPAIR, "DER", "PrivateKeyInfo", NULL);
}

static inline void aegis_free(void *memory) { OPENSSL_free(memory); }

static inline void aegis_clear_free(void *memory, size_t length) { OPENSSL_clear_free(memory, length); }

static inline void aegis_extensions_free(STACK_OF(X509_EXTENSION) * extensions) {
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}
#endif
