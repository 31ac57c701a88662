// libidn2, a library for IDNA 2008 with the mapping of UTS 46 (https://www.gnu.org/software/libidn/#libidn2).
#ifndef AEGIS_CIDN2_H
#define AEGIS_CIDN2_H
#include <idn2.h>
#endif
