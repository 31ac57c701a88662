// OpenSSL 3: keys, X.509, AES-GCM (https://docs.openssl.org/3.0/). Functions below stand in for macros and variadics,
// which Swift can't call.
#ifndef AEGIS_COPENSSL_H
#define AEGIS_COPENSSL_H
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

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

// Memory functions that wipe what is freed, in the form of CRYPTO_set_mem_functions(3).

static inline void *aegis_wiping_malloc(size_t size, const char *file, int line) {
    (void)file, (void)line;
    return size > 0 ? malloc(size) : NULL;
}

static inline void aegis_wiping_free(void *memory, const char *file, int line) {
    (void)file, (void)line;
    if (memory) explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

static inline void *aegis_wiping_realloc(void *memory, size_t size, const char *file, int line) {
    size_t usable = memory ? malloc_usable_size(memory) : 0;
    if (memory && size > 0 && size <= usable) return memory;
    // Not realloc(3), which may move the bytes and leave the old ones behind.
    void *larger = aegis_wiping_malloc(size, file, line);
    if (size > 0 && !larger) return NULL;
    if (larger && memory) memcpy(larger, memory, usable);
    aegis_wiping_free(memory, file, line);
    return larger;
}

static inline int aegis_wipe_freed_memory(void) {
    return CRYPTO_set_mem_functions(aegis_wiping_malloc, aegis_wiping_realloc, aegis_wiping_free);
}
#endif
