// A name service that answers as a test wants it, preloaded into the gateway. Names below "slow.test" are looked up only when
// the file SLOW_NAMES exists, and are 127.0.0.1 then; that they are asked for, a file SLOW_NAMES.asked tells. Names below
// "two.test" are 127.0.0.9 and 127.0.0.1.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*lookup)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static int is_below(const char *name, const char *suffix) {
    size_t length = name ? strlen(name) : 0, tail = strlen(suffix);
    return length > tail && strcmp(name + length - tail, suffix) == 0;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    lookup real = (lookup)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *path = getenv("SLOW_NAMES");
    if (path && is_below(name, ".slow.test")) {
        char asked[4096];
        snprintf(asked, sizeof asked, "%s.asked", path);
        close(open(asked, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        while (access(path, F_OK) != 0) usleep(2000);
        name = "127.0.0.1";
    }
    if (!is_below(name, ".two.test")) return real(name, service, hints, result);
    int code = real("127.0.0.9", service, hints, result);
    if (code) return code;
    struct addrinfo *last = *result;
    while (last->ai_next) last = last->ai_next;
    return real("127.0.0.1", service, hints, &last->ai_next);
}
