// libnghttp2, HTTP/2 and HPACK without I/O (https://nghttp2.org/documentation/).
#ifndef AEGIS_CNGHTTP2_H
#define AEGIS_CNGHTTP2_H
#include <sys/types.h>

#include <nghttp2/nghttp2.h>
#endif
