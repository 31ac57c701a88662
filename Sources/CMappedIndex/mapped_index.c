#define _DEFAULT_SOURCE
#include "mapped_index.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// SQLite maps and extends the -shm file in regions of this size (WALINDEX_PGSZ).
enum { paths_at_most = 8, path_bytes = 4096, region_bytes = 32768, regions_at_most = 256 };

static char paths[paths_at_most][path_bytes];
static atomic_uint path_count;
static atomic_uint mends;
static __thread int is_needed;
static struct sigaction former;

static unsigned guarded(void) {
    unsigned count = atomic_load(&path_count);
    return count < paths_at_most ? count : paths_at_most;
}

// Fills the whole file with zeros and gives it a size of `bytes`. The function uses only truncate(2): closing a
// descriptor of the file would release SQLite's locks on the file (fcntl(2)).
static int clear(const char *path, off_t bytes) { return truncate(path, 0) == 0 && truncate(path, bytes) == 0; }

// Makes the file one region longer, up to `regions`, and fills the whole file with zeros. If the index's old header
// stayed, SQLite would take the new zeros for valid entries.
static int extend(const char *path, long regions) {
    struct stat status;
    if (path[0] == 0 || stat(path, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
    long whole = status.st_size / region_bytes;
    return whole < regions && clear(path, (whole + 1) * region_bytes);
}

static void mend(int number, siginfo_t *information, void *context) {
    (void)information, (void)context;
    int error = errno, is_mended = 0;
    // The handler can't tell which file caused the signal, so it extends all guarded files. If the access fails again,
    // the handler extends them again. If no file can grow, the signal has another cause.
    for (unsigned place = 0; !is_needed && place < guarded(); place++)
        is_mended |= extend(paths[place], regions_at_most);
    errno = error;
    if (is_mended) atomic_fetch_add(&mends, 1);
    // Restore the handling from before the guard. The failing access is repeated after the handler returns, and raises
    // SIGBUS again.
    else sigaction(number, &former, NULL);
}

void aegis_guard_index(const char *path) {
    if (strlen(path) >= path_bytes) return;
    for (unsigned place = 0; place < guarded(); place++)
        if (strcmp(paths[place], path) == 0) return;
    strcpy(paths[atomic_load(&path_count) % paths_at_most], path);
    if (atomic_fetch_add(&path_count, 1) > 0) return;
    struct sigaction action = {.sa_sigaction = mend, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGBUS, &action, &former);
}

void aegis_mend_index(void) {
    for (unsigned place = 0; place < guarded(); place++) extend(paths[place], 1);
}

void aegis_renew_index(void) {
    struct stat status;
    for (unsigned place = 0; place < guarded(); place++)
        if (stat(paths[place], &status) == 0) clear(paths[place], status.st_size);
}

unsigned aegis_index_mends(void) { return atomic_load(&mends); }

void aegis_need_index(int needed) { is_needed = needed; }
