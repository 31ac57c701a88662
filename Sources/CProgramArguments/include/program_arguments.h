#pragma once

/// The number of words in the command line, including the program's name; 0 when it is unknown.
int aegis_argument_count(void);

/// The word at an index below aegis_argument_count(). It stays in place while the program runs.
const char *aegis_argument(int index);
