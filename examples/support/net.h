/* The net that the settings ask for. */
#ifndef NET_H
#define NET_H

#include "settings.h"

/* A new model for the data, with their statistics. */
int net_create(linfdist_context *context, const settings *s, const dataset *data, linfdist_model **model,
               problem *what);

#endif
