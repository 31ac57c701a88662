// libyaml, a parser that reports YAML as events (https://pyyaml.org/wiki/LibYAML).
#ifndef AEGIS_CYAML_H
#define AEGIS_CYAML_H
#include <yaml.h>
#endif
