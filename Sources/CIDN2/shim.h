// libidn2: IDNA 2008 with UTS 46 mapping (https://www.gnu.org/software/libidn/#libidn2).
#ifndef AEGIS_CIDN2_H
#define AEGIS_CIDN2_H
#include <idn2.h>
#endif
