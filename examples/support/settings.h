/* What a training is: the flags of train, their recipes, and their place in a checkpoint. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "args.h"
#include "dataset.h"

#include <stdint.h>

#define SETTINGS_FLAGS 38

typedef struct settings {
    const char *data, *recipe, *out, *checkpoint, *resume, *log;
    int64_t net, depth, width, hidden, width_factor, features, scalar, batch, epochs[ARG_EPOCHS_COUNT], epochs_of;
    int64_t threads, steps, loss, bounds, decay, augment;
    uint64_t seed;
    double identity, eps_train, eps_smooth, eps_test, mix, clip, lam0, lam_end, p_start, p_end, lr, scalar_lr;
    double weight_decay;
    arg_counts lr_steps;
    int list_recipes;
    arg flags[SETTINGS_FLAGS]; /* point into this struct: it must not be moved */
} settings;

/* Values of the choices, in the order of their words. */
enum { NET_MLP, NET_HYBRID, NET_CONV, NET_CONV_HYBRID };
enum { SCALAR_FIXED, SCALAR_LEARNED };
enum { EPOCHS_OF_2021, EPOCHS_OF_2022 };
enum { BOUNDS_LIPSCHITZ, BOUNDS_INTERVAL };

/* Where a training stands: the next step, and what its unfinished epoch has summed up so far. */
typedef struct position {
    int64_t epoch, batch;
    int64_t samples, correct, certified;
    double loss_sum;
} position;

/* Fills the settings from the command line: flags, then the recipe for what they leave open (not when resuming: then
 * settings_resume does). 0; 1 where only settings_print is wanted; -1. */
int settings_parse(settings *s, int argc, char **argv, problem *what);
/* What the choices mean to the library. */
linfdist_loss settings_loss(const settings *s);
int32_t settings_decay(const settings *s);
/* 1 where the net ends with a linear head, whose outputs are logits; 0 where they are distances. */
int settings_linear_head(const settings *s);
/* What --help or --list-recipes asked for. usage: how the program is called. */
void settings_print(const settings *s, const char *usage, FILE *out);

/* The program's part of a checkpoint, as text. Nothing in it depends on threads, paths or time. */
#define STATE_SIZE 2048
size_t settings_save(const settings *s, const dataset *data, const position *at, char state[STATE_SIZE]);
/* Takes from the checkpoint what the command line left open; a flag that was given and differs is refused. */
int settings_resume(settings *s, position *at, const char *state, problem *what);
/* Refuses data that are not those of the checkpoint. */
int settings_check_data(const dataset *data, const char *state, problem *what);

#endif
