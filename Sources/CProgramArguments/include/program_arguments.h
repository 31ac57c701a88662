#pragma once

/// Returns the number of words in the command line, including the program's name. Returns 0 if the number is unknown.
int aegis_argument_count(void);

/// Returns a word of the command line. `index` must be below aegis_argument_count(). The word stays valid while the
/// program runs.
const char *aegis_argument(int index);
