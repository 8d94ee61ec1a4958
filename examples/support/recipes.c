#include "recipes.h"

#include <string.h>

static const recipe recipes[] = {
    {"published", "what all recipes of the 2022 paper share", NULL,
     "depth 5 width 5120 identity 10 scalar learned batch 512 lr 0.03 lr-steps none scalar-lr 0.006 weight-decay 0 "
     "decay plain loss mixture clip 1 lam0 0.05 lam-end 0.0002 p-start 8 p-end 1000 eps-smooth 0 epochs-of 2022 seed 2021"},
    {"published-2021", "what the recipes of the 2021 paper share", "published",
     "scalar fixed lr 0.02 weight-decay 0.005 decay lp epochs-of 2021 seed 2020"},
    {"mnist-0.1", "MNIST, certified at 0.1 (paper: 97.95 %)", "published",
     "eps-train 0.3 eps-test 0.1 epochs 0,0,25,400,450"},
    {"mnist-0.3", "MNIST, certified at 0.3 (paper: 93.20 %); the default for mnist", "published",
     "eps-train 0.45 eps-test 0.3 epochs 0,0,25,400,450"},
    {"mnist-2021", "MNIST, certified at 0.3, by the hinge loss of the 2021 paper", "published-2021",
     "loss hinge mix 0.25 eps-train 0.45 eps-test 0.3 epochs 0,50,0,350,400"},
    {"digits", "the generated digits, under a minute; the default for digits", "published",
     "depth 5 width 128 batch 64 lam0 1 eps-train 0.3 eps-test 0.15 epochs 0,0,4,18,20"},
};

const recipe *recipes_all(size_t *count) {
    *count = sizeof recipes / sizeof *recipes;
    return recipes;
}

const recipe *recipes_find(const char *name) {
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; ++i)
        if (strcmp(recipes[i].name, name) == 0) return &recipes[i];
    return NULL;
}

/* The next word of *text as a string of its own; 0 at the end. */
static int next_word(const char **text, char *word, size_t size) {
    *text += strspn(*text, " ");
    size_t length = strcspn(*text, " ");
    if (length == 0 || length >= size) return 0;
    memcpy(word, *text, length);
    word[length] = '\0';
    *text += length;
    return 1;
}

int recipe_apply(const recipe *r, arg *args, size_t count, arg_origin origin, problem *what) {
    for (; r; r = r->base ? recipes_find(r->base) : NULL) {
        const char *text = r->values;
        char name[32], value[64];
        while (next_word(&text, name, sizeof name) && next_word(&text, value, sizeof value)) {
            arg *a = args_find(args, count, name, strlen(name));
            if (!a) return problem_set(what, "recipe %s: unknown flag %s", r->name, name);
            if (a->origin == ARG_UNSET && arg_set(a, value, origin, what) != 0) return -1;
        }
    }
    return 0;
}
