// OpenSSL 3: keys, X.509, AES-GCM, TLS (https://docs.openssl.org/3.0/). Functions below stand in for macros and variadics,
// which Swift can't call.
#ifndef AEGIS_COPENSSL_H
#define AEGIS_COPENSSL_H
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
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
    size_t size = memory ? malloc_usable_size(memory) : 0;
    // No key is larger; the record buffers of TLS are, and come and go with every read.
    if (size <= 12288) explicit_bzero(memory, size);
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

static inline STACK_OF(X509) *aegis_x509_stack(void) { return sk_X509_new_null(); }

static inline int aegis_x509_stack_push(STACK_OF(X509) * stack, X509 *certificate) {
    return sk_X509_push(stack, certificate);
}

static inline void aegis_x509_stack_free(STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }

static inline void aegis_bio_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }

static inline void aegis_bio_retry_read(BIO *bio) { BIO_set_retry_read(bio); }

static inline void aegis_bio_retry_write(BIO *bio) { BIO_set_retry_write(bio); }

static inline int aegis_set_min_version(SSL *ssl, int version) { return SSL_set_min_proto_version(ssl, version); }

static inline int aegis_set_min_version_of_all(SSL_CTX *context, int version) {
    return SSL_CTX_set_min_proto_version(context, version);
}

static inline int aegis_set_groups(SSL_CTX *context, const char *groups) {
    return SSL_CTX_set1_groups_list(context, groups);
}

static const uint64_t aegis_no_renegotiation = SSL_OP_NO_RENEGOTIATION;
static const uint64_t aegis_no_compression = SSL_OP_NO_COMPRESSION;
static const uint64_t aegis_prioritize_chacha = SSL_OP_PRIORITIZE_CHACHA;

static inline void aegis_set_modes(SSL_CTX *context, long modes) { SSL_CTX_set_mode(context, modes); }

static inline void aegis_set_no_session_cache(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

static inline int aegis_set_server_name(SSL *ssl, const char *name) { return SSL_set_tlsext_host_name(ssl, name); }

typedef int (*aegis_ticket_callback)(SSL *, unsigned char *, unsigned char *, EVP_CIPHER_CTX *, EVP_MAC_CTX *, int);

static inline int aegis_set_ticket_callback(SSL_CTX *context, aegis_ticket_callback callback) {
    return (int)SSL_CTX_set_tlsext_ticket_key_evp_cb(context, callback);
}

// The MAC of session tickets is HMAC-SHA256.
static inline int aegis_set_ticket_mac_key(EVP_MAC_CTX *mac, unsigned char *key, size_t length) {
    OSSL_PARAM parameters[3] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, length),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, parameters);
}
#endif
