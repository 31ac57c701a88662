// SQLite maps the index of its -wal file, the -shm file, into memory (https://sqlite.org/walformat.html). Whoever cuts that
// file short, as a copy onto it does for a moment, ends each process that touches the mapping, by SIGBUS (mmap(2)). Here such
// a file is made long again, with zeros, in which SQLite sees an index that it has to make anew, and the process goes on.
#ifndef AEGIS_MAPPED_INDEX_H
#define AEGIS_MAPPED_INDEX_H

/// Has the -shm file of this path mended from now on, of eight paths at most; a later one takes the place of the earliest.
void aegis_guard_index(const char *path);

/// Makes the guarded files that are shorter than an index can be long enough.
void aegis_mend_index(void);

/// Has SQLite make the guarded files anew from the -wal file.
void aegis_renew_index(void);

/// How often one was mended because it was touched: whatever was read meanwhile may be wrong.
unsigned aegis_index_mends(void);

/// Says whether this thread is at work where a part of the index must not turn to zeros, since SQLite removes the -wal file
/// when it believes that all of it is in the database. Then the process ends.
void aegis_need_index(int is_needed);
#endif
