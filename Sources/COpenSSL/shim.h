// OpenSSL 3: keys, X.509, AES-GCM and TLS (https://docs.openssl.org/3.0/). The functions below wrap macros and variadic
// functions, which Swift can't call.
#ifndef AEGIS_COPENSSL_H
#define AEGIS_COPENSSL_H
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/encoder.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// Decodes base64 with line ends. Returns the number of bytes, or -1 if the text is not base64. `output` must have room
// for three bytes per four characters, and three more.
static inline int aegis_decode_base64(const unsigned char *text, int count, unsigned char *output) {
    EVP_ENCODE_CTX *context = EVP_ENCODE_CTX_new();
    if (!context) return -1;
    int written = 0, last = 0;
    EVP_DecodeInit(context);
    int result = EVP_DecodeUpdate(context, output, &written, text, count);
    if (result >= 0) result = EVP_DecodeFinal(context, output + written, &last);
    EVP_ENCODE_CTX_free(context);
    return result < 0 ? -1 : written + last;
}

static inline EVP_PKEY *aegis_generate_ec(const char *curve) {
    return EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
}

static inline EVP_PKEY *aegis_generate_rsa(size_t bits) {
    return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", bits);
}

static inline OSSL_ENCODER_CTX *aegis_pkcs8_encoder(const EVP_PKEY *key) {
    return OSSL_ENCODER_CTX_new_for_pkey(key, EVP_PKEY_KEYPAIR, "DER", "PrivateKeyInfo", NULL);
}

// Reads a P-256 private key in the PKCS#8 form that OpenSSL and most programs write, which includes the public key.
// Constructing the key from its numbers takes a fifth of the time that OpenSSL's decoder takes. Returns NULL if the
// bytes have another form or no valid key. Otherwise moves `*der` past the key.
static inline EVP_PKEY *aegis_pkcs8_p256_key(const unsigned char **der, long length) {
    // The DER before the private key's 32 bytes, and the DER between them and the public key's 65 bytes: versions,
    // lengths, and the identifiers id-ecPublicKey and prime256v1 (RFC 5958, RFC 5915).
    static const unsigned char head[36] = {
        0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06,
        0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x04, 0x6D, 0x30, 0x6B, 0x02, 0x01, 0x01, 0x04, 0x20,
    };
    static const unsigned char middle[5] = {0xA1, 0x44, 0x03, 0x42, 0x00};
    enum { NUMBER = 32, POINT = 65, WHOLE = sizeof head + NUMBER + sizeof middle + POINT };
    const unsigned char *number = *der + sizeof head, *point = number + NUMBER + sizeof middle;
    if (length != WHOLE || memcmp(*der, head, sizeof head) || memcmp(number + NUMBER, middle, sizeof middle)) return NULL;
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    BIGNUM *value = BN_bin2bn(number, NUMBER, NULL);
    unsigned char native[NUMBER];
    if (context && value && BN_bn2nativepad(value, native, NUMBER) == NUMBER) {
        OSSL_PARAM parameters[4] = {
            OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)"prime256v1", 0),
            OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native, NUMBER),
            OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point, POINT),
            OSSL_PARAM_construct_end(),
        };
        if (EVP_PKEY_fromdata_init(context) > 0) (void)EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, parameters);
    }
    OPENSSL_cleanse(native, sizeof native);
    BN_clear_free(value);
    EVP_PKEY_CTX_free(context);
    if (key) *der += WHOLE;
    return key;
}

// Reads an EC or RSA key in PKCS#8. The function chooses the decoder by the key's algorithm, since OpenSSL takes three
// times as long when it tries all its decoders. Returns NULL if the key has another algorithm or can't be read.
// Otherwise moves `*der` past the key.
static inline EVP_PKEY *aegis_pkcs8_key(const unsigned char **der, long length) {
    const unsigned char *start = *der;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &start, length);
    const ASN1_OBJECT *algorithm = NULL;
    if (!info || !PKCS8_pkey_get0(&algorithm, NULL, NULL, NULL, info)) {
        PKCS8_PRIV_KEY_INFO_free(info);
        return NULL;
    }
    int kind = OBJ_obj2nid(algorithm);
    PKCS8_PRIV_KEY_INFO_free(info);
    const char *name = kind == NID_X9_62_id_ecPublicKey ? "EC" : kind == NID_rsaEncryption ? "RSA" : NULL;
    if (!name) return NULL;
    EVP_PKEY *key = NULL;
    OSSL_DECODER_CTX *decoder =
        OSSL_DECODER_CTX_new_for_pkey(&key, "DER", "PrivateKeyInfo", name, EVP_PKEY_KEYPAIR, NULL, NULL);
    size_t rest = (size_t)length;
    if (decoder) (void)OSSL_DECODER_from_data(decoder, der, &rest);
    OSSL_DECODER_CTX_free(decoder);
    return key;
}

static inline void aegis_free(void *memory) { OPENSSL_free(memory); }

static inline void aegis_clear_free(void *memory, size_t length) { OPENSSL_clear_free(memory, length); }

static inline void aegis_extensions_free(STACK_OF(X509_EXTENSION) * extensions) {
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

static inline STACK_OF(X509) *aegis_x509_stack(void) { return sk_X509_new_null(); }

static inline int aegis_x509_stack_push(STACK_OF(X509) * stack, X509 *certificate) {
    return sk_X509_push(stack, certificate);
}

static inline void aegis_x509_stack_free(STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }

// Verifies the signature of a certificate or CRL. `content` is the signed part in DER. `rest` holds what follows the
// signed part: the algorithm and the signature (RFC 5280 section 5.1). The function does not parse `content`, which may
// be long.
static inline int aegis_verify_signed(const unsigned char *content, int count, const unsigned char *rest, long restCount, EVP_PKEY *key) {
    const unsigned char *position = rest;
    X509_ALGOR *algorithm = d2i_X509_ALGOR(NULL, &position, restCount);
    ASN1_BIT_STRING *signature = d2i_ASN1_BIT_STRING(NULL, &position, restCount - (position - rest));
    ASN1_STRING *text = ASN1_STRING_type_new(V_ASN1_SEQUENCE);
    int result = 0;
    if (algorithm && signature && text && ASN1_STRING_set(text, content, count)) {
        // ASN1_item_verify encodes its argument and verifies the signature of the encoding. OpenSSL encodes an
        // ASN1_TYPE with a SEQUENCE by copying `content` unchanged.
        ASN1_TYPE value = {.type = V_ASN1_SEQUENCE, .value.sequence = text};
        result = ASN1_item_verify(ASN1_ITEM_rptr(ASN1_ANY), algorithm, signature, &value, key) == 1;
    }
    ASN1_STRING_free(text);
    ASN1_BIT_STRING_free(signature);
    X509_ALGOR_free(algorithm);
    return result;
}

static inline int aegis_print_name(BIO *output, const X509_NAME *name) {
    return X509_NAME_print_ex(output, name, 0, XN_FLAG_RFC2253);
}

static inline STACK_OF(X509_NAME) *aegis_x509_names(void) { return sk_X509_NAME_new_null(); }

static inline int aegis_x509_names_push(STACK_OF(X509_NAME) * names, X509_NAME *name) {
    return sk_X509_NAME_push(names, name);
}

static inline void aegis_x509_names_free(STACK_OF(X509_NAME) * names) { sk_X509_NAME_pop_free(names, X509_NAME_free); }

// Sets the store of trusted certificates. OpenSSL takes a reference to the store, so the caller keeps its own.
static inline int aegis_set_verify_store(SSL *ssl, X509_STORE *store) { return SSL_set1_verify_cert_store(ssl, store); }

static inline void aegis_set_max_cert_list(SSL *ssl, long bytes) { SSL_set_max_cert_list(ssl, bytes); }

static inline void aegis_bio_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }

static inline void aegis_bio_retry_read(BIO *bio) { BIO_set_retry_read(bio); }

static inline void aegis_bio_retry_write(BIO *bio) { BIO_set_retry_write(bio); }

static inline int aegis_set_min_version(SSL *ssl, int version) { return SSL_set_min_proto_version(ssl, version); }

static inline int aegis_set_min_version_of_all(SSL_CTX *context, int version) {
    return SSL_CTX_set_min_proto_version(context, version);
}

// Returns the store by which a connection verifies its peer. The connection keeps ownership of the store. Returns NULL
// if the connection has no store of its own.
static inline X509_STORE *aegis_get_verify_store(SSL *ssl) {
    X509_STORE *store = NULL;
    SSL_get0_verify_cert_store(ssl, &store);
    return store;
}

static inline int aegis_set_groups(SSL_CTX *context, const char *groups) {
    return SSL_CTX_set1_groups_list(context, groups);
}

static inline int aegis_set_groups_of_one(SSL *ssl, const char *groups) { return SSL_set1_groups_list(ssl, groups); }

static inline int aegis_negotiated_group(SSL *ssl) { return (int)SSL_get_negotiated_group(ssl); }

static inline void aegis_set_host_flags(SSL_CTX *context, unsigned int flags) {
    X509_VERIFY_PARAM_set_hostflags(SSL_CTX_get0_param(context), flags);
}

static const uint64_t aegis_no_renegotiation = SSL_OP_NO_RENEGOTIATION;
static const uint64_t aegis_no_compression = SSL_OP_NO_COMPRESSION;
static const uint64_t aegis_server_chooses_cipher = SSL_OP_CIPHER_SERVER_PREFERENCE;
// OpenSSL obeys this option only together with `aegis_server_chooses_cipher`.
static const uint64_t aegis_prioritize_chacha = SSL_OP_PRIORITIZE_CHACHA;

static inline void aegis_set_modes(SSL_CTX *context, long modes) { SSL_CTX_set_mode(context, modes); }

// Makes SSL_read return after each record. By default, SSL_read returns only after a record with data.
static inline void aegis_stop_after_each_record(SSL_CTX *context) { SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY); }

// OpenSSL calls this function for each part of a message. The function counts the received records whose type is not
// application data. In TLS 1.3 the type inside the encryption counts.
static inline void aegis_count_quiet_record(
    int is_sent, int version, int type, const void *bytes, size_t length, SSL *ssl, void *count) {
    (void)version, (void)ssl;
    if (is_sent || length == 0 || (type != SSL3_RT_HEADER && type != SSL3_RT_INNER_CONTENT_TYPE)) return;
    if (*(const unsigned char *)bytes != SSL3_RT_APPLICATION_DATA) ++*(int *)count;
}

// Makes OpenSSL count a connection's received records without application data in `*count`, which must outlive `ssl`.
static inline void aegis_count_quiet_records(SSL *ssl, int *count) {
    SSL_set_msg_callback(ssl, aegis_count_quiet_record);
    SSL_set_msg_callback_arg(ssl, count);
}

static inline void aegis_set_no_session_cache(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

// Passes each session that a client can resume to `callback`, and keeps none in the context: several threads share the
// context, so they would wait for the lock of its cache. The callback returns 1 to keep its reference to the session.
static inline void aegis_cache_client_sessions(SSL_CTX *context, int (*callback)(SSL *, SSL_SESSION *)) {
    SSL_CTX_set_session_cache_mode(
        context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
    SSL_CTX_sess_set_new_cb(context, callback);
}

static inline int aegis_set_server_name(SSL *ssl, const char *name) { return SSL_set_tlsext_host_name(ssl, name); }

typedef int (*aegis_ticket_callback)(SSL *, unsigned char *, unsigned char *, EVP_CIPHER_CTX *, EVP_MAC_CTX *, int);

static inline int aegis_set_ticket_callback(SSL_CTX *context, aegis_ticket_callback callback) {
    return (int)SSL_CTX_set_tlsext_ticket_key_evp_cb(context, callback);
}

// Sets the key with which session tickets are authenticated (HMAC-SHA256).
static inline int aegis_set_ticket_mac_key(EVP_MAC_CTX *mac, unsigned char *key, size_t length) {
    OSSL_PARAM parameters[3] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, length),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, parameters);
}
#endif
