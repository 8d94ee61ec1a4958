/* Published settings by name. */
#ifndef RECIPES_H
#define RECIPES_H

#include "args.h"

typedef struct recipe {
    const char *name, *summary;
    const char *base;   /* a recipe that fills what this one leaves open, or NULL */
    const char *values; /* "flag value flag value ..." */
} recipe;

/* All of them, *count in number. */
const recipe *recipes_all(size_t *count);
/* NULL when there is none of this name. */
const recipe *recipes_find(const char *name);
/* The default for a data set (as given to --data) and nets with or without a linear head; the published one nearest to
 * it where it has none of its own. */
const recipe *recipes_usual(const char *data, int linear_head);
/* Sets the flags that are still unset to the recipe's values, as ARG_GIVEN or ARG_DEFAULTED. */
int recipe_apply(const recipe *r, arg *args, size_t count, arg_origin origin, problem *what);

#endif
