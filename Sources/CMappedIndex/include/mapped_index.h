// SQLite maps the -shm file, the index of its -wal file, into memory (https://sqlite.org/walformat.html). If another
// process shortens the -shm file, a read of the missing part raises SIGBUS, which by default ends the process
// (mmap(2)). Copying a file over the -shm file shortens it for a moment. This module's signal handler extends the -shm
// file with zeros instead. SQLite then sees an index that must be rebuilt, and the process continues.
#ifndef AEGIS_MAPPED_INDEX_H
#define AEGIS_MAPPED_INDEX_H

/// Starts guarding the -shm file at a path. The module guards at most eight files; a ninth replaces the earliest.
void aegis_guard_index(const char *path);

/// Extends each guarded file that is shorter than one region (32 KiB), the smallest size of an index.
void aegis_mend_index(void);

/// Fills the guarded files with zeros, so that SQLite rebuilds them from the -wal file.
void aegis_renew_index(void);

/// Returns how many times the signal handler has extended files. If the number rises during a read of the database, the
/// data that was read may be wrong.
unsigned aegis_index_mends(void);

/// Sets whether the calling thread needs the index to keep its content. While the thread does, the handler lets a
/// SIGBUS end the process instead of writing zeros. With a zeroed index, SQLite could believe that the database already
/// contains the whole -wal file, and delete the -wal file.
void aegis_need_index(int is_needed);
#endif
