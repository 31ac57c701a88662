#pragma once

/// How many arguments this program was started with, its own name among them; 0 when that is not known.
int aegis_argument_count(void);

/// The argument at an index below aegis_argument_count(), which stays where it is while the program runs.
const char *aegis_argument(int index);
