// A getaddrinfo for tests, preloaded into the gateway. The environment variable SLOW_NAMES is the path of a file.
// Names below "slow.test" are 127.0.0.1; a look-up creates the file SLOW_NAMES.asked, and waits until the file SLOW_NAMES
// exists. Names below "two.test" are 127.0.0.9 and 127.0.0.1. Names below "told.test" have the addresses in the file
// SLOW_NAMES.told, one a line; each look-up appends a byte to SLOW_NAMES.count.
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
    if (path && is_below(name, ".told.test")) {
        char file[4096], line[64];
        snprintf(file, sizeof file, "%s.count", path);
        int count = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (write(count, ".", 1) != 1) return EAI_SYSTEM;
        close(count);
        snprintf(file, sizeof file, "%s.told", path);
        FILE *told = fopen(file, "re");
        struct addrinfo **next = result;
        while (told && fgets(line, sizeof line, told)) {
            line[strcspn(line, "\n")] = 0;
            if (real(line, service, hints, next)) continue;
            while (*next) next = &(*next)->ai_next;
        }
        if (told) fclose(told);
        return next == result ? EAI_NONAME : 0;
    }
    if (!is_below(name, ".two.test")) return real(name, service, hints, result);
    int code = real("127.0.0.9", service, hints, result);
    if (code) return code;
    struct addrinfo *last = *result;
    while (last->ai_next) last = last->ai_next;
    return real("127.0.0.1", service, hints, &last->ai_next);
}
