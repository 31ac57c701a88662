// libcurl, an HTTP client library (https://curl.se/libcurl/c/). The functions below wrap variadic C functions, which
// Swift can't call.
#ifndef AEGIS_CCURL_H
#define AEGIS_CCURL_H
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

// Frees memory for curl after overwriting it with zeros, since the memory may contain an API token.

static inline void aegis_curl_free(void *memory) {
    if (!memory) return;
    explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

static inline void *aegis_curl_realloc(void *memory, size_t size) {
    size_t usable = memory ? malloc_usable_size(memory) : 0;
    if (memory && size <= usable) return memory;
    // realloc(3) may move the bytes and leave an unwiped copy behind, so the function copies and wipes by itself.
    void *larger = malloc(size);
    if (larger && memory) {
        memcpy(larger, memory, usable);
        aegis_curl_free(memory);
    }
    return larger;
}

static inline CURLcode aegis_curl_initialize(void) {
    return curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, aegis_curl_free, aegis_curl_realloc, strdup, calloc);
}

static inline CURLcode aegis_curl_set_number(CURL *handle, CURLoption option, long value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode aegis_curl_set_size(CURL *handle, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode aegis_curl_set_text(CURL *handle, CURLoption option, const char *value) {
    return curl_easy_setopt(handle, option, value);
}

// Sets a pointer option. curl keeps the pointer, so its memory must stay valid until the transfer is over.
static inline CURLcode aegis_curl_set_pointer(CURL *handle, CURLoption option, void *value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode aegis_curl_set_bytes(CURL *handle, CURLoption option, const void *bytes, size_t count) {
    struct curl_blob blob = {(void *)bytes, count, CURL_BLOB_COPY};
    return curl_easy_setopt(handle, option, &blob);
}

typedef size_t (*aegis_curl_callback)(char *bytes, size_t size, size_t count, void *context);

// Sets a callback and its last argument. `context` is curl's option for that argument, such as CURLOPT_WRITEDATA.
static inline CURLcode aegis_curl_set_callback(
    CURL *handle, CURLoption option, aegis_curl_callback callback, CURLoption context, void *value) {
    CURLcode code = curl_easy_setopt(handle, option, callback);
    return code == CURLE_OK ? curl_easy_setopt(handle, context, value) : code;
}

typedef CURLcode (*aegis_curl_tls_callback)(CURL *handle, void *ssl_ctx, void *context);

// Sets the callback that curl calls with the SSL_CTX of each new TLS connection, and its last argument.
static inline CURLcode aegis_curl_set_tls_callback(CURL *handle, aegis_curl_tls_callback callback, void *value) {
    CURLcode code = curl_easy_setopt(handle, CURLOPT_SSL_CTX_FUNCTION, callback);
    return code == CURLE_OK ? curl_easy_setopt(handle, CURLOPT_SSL_CTX_DATA, value) : code;
}

// Sets the callback that curl calls when a connection is open, before it sends the request, and its first argument.
static inline CURLcode aegis_curl_set_prereq(CURL *handle, curl_prereq_callback callback, void *value) {
    CURLcode code = curl_easy_setopt(handle, CURLOPT_PREREQFUNCTION, callback);
    return code == CURLE_OK ? curl_easy_setopt(handle, CURLOPT_PREREQDATA, value) : code;
}

// Returns 0 if curl does not have the number.
static inline long aegis_curl_number(CURL *handle, CURLINFO info) {
    long value = 0;
    return curl_easy_getinfo(handle, info, &value) == CURLE_OK ? value : 0;
}

// Returns NULL if curl does not have the text. The text stays valid until the handle's next transfer.
static inline const char *aegis_curl_text(CURL *handle, CURLINFO info) {
    char *value = NULL;
    return curl_easy_getinfo(handle, info, &value) == CURLE_OK ? value : NULL;
}
#endif
