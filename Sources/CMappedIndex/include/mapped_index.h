// SQLite maps the -shm file, the index of its -wal file, into memory (https://sqlite.org/walformat.html). When another
// process shortens that file, as copying a file onto it does for a moment, each process that reads the missing part
// gets SIGBUS and ends (mmap(2)). This module's signal handler extends the file with zeros instead. SQLite takes the
// zeros for an index that must be rebuilt, and the process continues.
#ifndef AEGIS_MAPPED_INDEX_H
#define AEGIS_MAPPED_INDEX_H

/// Starts guarding the -shm file at this path. At most eight files are guarded; a ninth replaces the earliest.
void aegis_guard_index(const char *path);

/// Extends each guarded file that is too short for any index.
void aegis_mend_index(void);

/// Clears the guarded files, so that SQLite rebuilds them from the -wal file.
void aegis_renew_index(void);

/// How many times the signal handler extended a file. Data that was read while this number rose may be wrong.
unsigned aegis_index_mends(void);

/// Sets whether this thread is doing work during which the index must not become zeros: SQLite could then believe that
/// the whole -wal file is in the database, and delete it. A SIGBUS during such work ends the process.
void aegis_need_index(int is_needed);
#endif
