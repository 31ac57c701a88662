// zlib, a library for compression and checksums (https://zlib.net/).
#ifndef AEGIS_CZLIB_H
#define AEGIS_CZLIB_H
#include <zlib.h>
#endif
