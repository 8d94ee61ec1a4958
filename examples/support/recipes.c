#include "recipes.h"

#include <string.h>

static const recipe recipes[] = {
    {"published", "what all recipes of the 2022 paper share", NULL,
     "net mlp depth 5 width 5120 hidden 256 width-factor 1 features 512 identity 10 scalar learned batch 512 lr 0.03 "
     "lr-steps none scalar-lr 0.006 weight-decay 0 decay plain loss mixture bounds lipschitz clip 1 lam0 0.05 "
     "lam-end 0.0002 p-start 8 p-end 1000 eps-smooth 0 epochs-of 2022 augment 2022 seed 2021"},
    {"published-2021", "what the recipes of the 2021 paper share: a hinge, and weight decay", "published",
     "scalar fixed lr 0.02 weight-decay 0.005 decay lp loss hinge epochs-of 2021 augment 2021 seed 2020"},
    {"hybrid-2021", "what its nets with a linear head share: cross-entropy", "published-2021",
     "net hybrid hidden 512 loss crossentropy mix 0"},
    {"mnist-0.1", "MNIST, certified at 0.1 (paper: 97.95 %); also the default for fashion-mnist", "published",
     "eps-train 0.3 eps-test 0.1 epochs 0,0,25,400,450"},
    {"mnist-0.3", "MNIST, certified at 0.3 (paper: 93.20 %); the default for mnist", "published",
     "eps-train 0.45 eps-test 0.3 epochs 0,0,25,400,450"},
    {"cifar10-2/255", "CIFAR-10, certified at 2/255 (paper: 54.12 %); also the default for tiny-imagenet", "published",
     "depth 6 eps-train 10/255 eps-test 2/255 lam-end 0.002 epochs 0,0,100,1250,1300"},
    {"cifar10-8/255", "CIFAR-10, certified at 8/255 (paper: 40.06 %); the default for cifar10", "published",
     "depth 6 eps-train 24/255 eps-test 8/255 lam0 0.1 lam-end 0.0005 epochs 0,0,100,1250,1300"},
    {"cifar10-16/255", "CIFAR-10, certified at 16/255 (paper: 29.04 %)", "published",
     "depth 6 eps-train 40/255 eps-test 16/255 lam0 0.1 lam-end 0.0002 epochs 0,0,100,1250,1300"},
    {"mnist-2021", "MNIST, certified at 0.3, of the 2021 paper", "published-2021",
     "mix 0.25 eps-train 0.45 eps-test 0.3 epochs 0,50,0,350,400"},
    {"fashion-mnist-2021", "Fashion-MNIST, certified at 0.1, of the 2021 paper", "published-2021",
     "mix 0 eps-train 0.225 eps-test 0.1 epochs 0,50,0,350,400"},
    {"cifar10-2021", "CIFAR-10, certified at 8/255, of the 2021 paper (33.30 %)", "published-2021",
     "depth 6 mix 0.25 eps-train 0.1568 eps-test 8/255 epochs 0,100,0,750,800"},
    {"mnist-hybrid-2021", "MNIST, certified at 0.3, hybrid net of the 2021 paper (93.09 %)", "hybrid-2021",
     "depth 6 hidden 256 mix 0.5 eps-train 0.35 eps-test 0.3 epochs 0,50,50,350,400"},
    {"fashion-mnist-hybrid-2021", "Fashion-MNIST, certified at 0.1, hybrid net of the 2021 paper (79.23 %)",
     "hybrid-2021", "depth 6 mix 0.5 eps-train 0.11 eps-test 0.1 epochs 0,50,50,350,400"},
    {"cifar10-hybrid-2021", "CIFAR-10, certified at 8/255, hybrid net of the 2021 paper (35.42 %)", "hybrid-2021",
     "depth 7 eps-train 0.03451 eps-test 8/255 epochs 0,100,100,750,800"},
    {"cifar10-conv-hybrid-2021", "CIFAR-10, certified at 8/255, convolutions under a linear head, of the 2021 paper",
     "cifar10-hybrid-2021", "net conv-hybrid width-factor 3 features 1024"},
    {"tiny-imagenet-2021", "TinyImageNet, certified at 1/255, hybrid net of the 2021 paper (16.31 %)", "hybrid-2021",
     "depth 7 lr 0.04 eps-train 0.005 eps-test 1/255 epochs 0,100,200,450,500"},
    {"cifar10-hinge-2022", "cifar10-2021 as the programs of 2022 run it again (33.30 %)", "published",
     "depth 6 scalar fixed loss hinge mix 0.25 lr 0.02 eps-train 0.1569 eps-test 8/255 epochs 0,0,100,750,800"},
    {"cifar10-hybrid-2022", "cifar10-hybrid-2021 as the programs of 2022 run it again", "published",
     "net hybrid depth 7 hidden 512 loss crossentropy mix 0 lr 0.02 eps-train 0.03451 eps-test 8/255 "
     "epochs 0,100,100,750,800"},
    {"digits", "the generated digits, under a minute; the default for digits", "published",
     "depth 5 width 128 batch 64 lam0 1 eps-train 0.3 eps-test 0.15 epochs 0,0,4,18,20"},
    {"digits-hybrid", "the same with a hybrid net", "hybrid-2021",
     "depth 5 width 128 hidden 64 batch 64 mix 0.5 eps-train 0.2 eps-test 0.15 epochs 0,2,4,18,20"},
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

const recipe *recipes_usual(const char *data, int linear_head) {
    static const char *const usual[][3] = {{"digits", "digits", "digits-hybrid"},
                                           {"mnist", "mnist-0.3", "mnist-hybrid-2021"},
                                           {"fashion-mnist", "mnist-0.1", "fashion-mnist-hybrid-2021"},
                                           {"cifar10", "cifar10-8/255", "cifar10-hybrid-2021"},
                                           {"tiny-imagenet", "cifar10-2/255", "tiny-imagenet-2021"}};
    size_t length = strcspn(data, ":");
    for (size_t i = 0; i < sizeof usual / sizeof *usual; ++i)
        if (strlen(usual[i][0]) == length && memcmp(usual[i][0], data, length) == 0)
            return recipes_find(usual[i][linear_head ? 2 : 1]);
    return &recipes[0];
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
