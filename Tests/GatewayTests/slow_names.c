// A name service that answers when a test says so. Preloaded into the gateway: names below "slow.test" are looked up only when
// the file SLOW_NAMES exists, and are 127.0.0.1 then; that they are asked for, a file SLOW_NAMES.asked tells.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*lookup)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    static const char suffix[] = ".slow.test";
    const char *path = getenv("SLOW_NAMES");
    size_t length = name ? strlen(name) : 0;
    if (path && length >= sizeof suffix && strcmp(name + length - (sizeof suffix - 1), suffix) == 0) {
        char asked[4096];
        snprintf(asked, sizeof asked, "%s.asked", path);
        close(open(asked, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        while (access(path, F_OK) != 0) usleep(2000);
        name = "127.0.0.1";
    }
    return ((lookup)dlsym(RTLD_NEXT, "getaddrinfo"))(name, service, hints, result);
}
