// libyaml: the YAML event parser (https://pyyaml.org/wiki/LibYAML).
#ifndef AEGIS_CYAML_H
#define AEGIS_CYAML_H
#include <yaml.h>
#endif
