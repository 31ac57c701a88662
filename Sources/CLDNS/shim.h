// libldns, a library that reads the records of DNS messages (https://nlnetlabs.nl/projects/ldns/).
#ifndef AEGIS_CLDNS_H
#define AEGIS_CLDNS_H
#include <ldns/rr.h>
#include <ldns/wire2host.h>
#endif
