#include "settings.h"

#include "recipes.h"

#include <inttypes.h>
#include <string.h>

#define STATE_HEADING "linfdist train 1\n"

/* clang-format off */
static void fill_flags(settings *s) {
    const arg flags[SETTINGS_FLAGS] = {
        {"data", ARG_TEXT, &s->data, 0, 0, "SET", DATASET_SPECS " (default: digits)", 0, 0},
        {"recipe", ARG_TEXT, &s->recipe, 0, 0, "NAME", "published values for all flags below that are not given", 0, 0},
        {"list-recipes", ARG_STOP, &s->list_recipes, 0, 0, "", "print all recipes, and nothing else", 0, 0},
        {"net", ARG_CHOICE, &s->net, 0, 0, "mlp|hybrid|conv|conv-hybrid",
         "hybrid: distances under a linear head", 1, 0},
        {"depth", ARG_COUNT, &s->depth, 1, 1000, "N", "mlp, hybrid: layers with weights", 1, 0},
        {"width", ARG_COUNT, &s->width, 1, 1e6, "N", "mlp, hybrid: neurons of a distance layer", 1, 0},
        {"hidden", ARG_COUNT, &s->hidden, 1, 1e6, "N", "hybrid, conv-hybrid: hidden neurons of the linear head", 1, 0},
        {"width-factor", ARG_COUNT, &s->width_factor, 1, 1e4, "N", "conv, conv-hybrid: 32 N and 64 N channels", 1, 0},
        {"features", ARG_COUNT, &s->features, 1, 1e6, "N", "conv, conv-hybrid: neurons of the dense layer", 1, 0},
        {"identity", ARG_REAL, &s->identity, 0, 1e6, "V", "initial weights of -V on the diagonal; 0: none", 1, 0},
        {"scalar", ARG_CHOICE, &s->scalar, 0, 0, "fixed|learned",
         "factor of the logits -d; no linear head has it", 1, 0},
        {"epochs", ARG_EPOCHS, s->epochs, 0, 1e6, "a,b,c,d,T", "eps grows over a..b, p over c..d, T in all", 1, 0},
        {"epochs-of", ARG_CHOICE, &s->epochs_of, 0, 0, "2021|2022",
         "2021: eps grows over a..a+c, p over b..d, lr is constant until b", 1, 0},
        {"eps-train", ARG_REAL, &s->eps_train, 1e-6, 1e3, "R", "of the loss; raw pixels in [0,1]: 0.45 or 8/255", 1, 0},
        {"eps-test", ARG_REAL, &s->eps_test, 0, 1e3, "R", "radius that is certified, by the margin", 1, 0},
        {"eps-smooth", ARG_REAL, &s->eps_smooth, 0, 0.999, "R", "eps grows smoothly, quartic up to R; 0: linear", 1, 0},
        {"loss", ARG_CHOICE, &s->loss, 0, 0, "mixture|hinge|crossentropy", "what is minimised", 1, 0},
        {"bounds", ARG_CHOICE, &s->bounds, 0, 0, "lipschitz|interval",
         "of the outputs: values -+ eps, or as below", 1, 0},
        {"mix", ARG_REAL, &s->mix, 0, 1, "V", "hinge: weight of its mean (0.25); crossentropy: of logits (0)", 1, 0},
        {"clip", ARG_REAL, &s->clip, 0, 1e6, "V", "mixture: largest value of its hinge", 1, 0},
        {"lam0", ARG_REAL, &s->lam0, 0, 1e6, "V", "mixture: weight of its cross-entropy at the start", 1, 0},
        {"lam-end", ARG_REAL, &s->lam_end, 0, 1e6, "V", "and at the end", 1, 0},
        {"p-start", ARG_REAL, &s->p_start, 1, LINFDIST_P_MAX, "P", "p at the start", 1, 0},
        {"p-end", ARG_REAL, &s->p_end, 1, LINFDIST_P_MAX, "P", "p at the end; from 100 on, infinity follows", 1, 0},
        {"batch", ARG_COUNT, &s->batch, 1, 1e6, "N", "samples of a step; the last of an epoch may have fewer", 1, 0},
        {"lr", ARG_REAL, &s->lr, 0, 1e3, "V", "learning rate, half-cosine to 0", 1, 0},
        {"lr-steps", ARG_COUNTS, &s->lr_steps, 0, 1e6, "a,b,...", "it is divided by 5 at these instead; or none", 1, 0},
        {"scalar-lr", ARG_REAL, &s->scalar_lr, 0, 1e3, "V", "learning rate of the scalar", 1, 0},
        {"weight-decay", ARG_REAL, &s->weight_decay, 0, 1, "V", "a step takes lr times this part of the weights", 1, 0},
        {"decay", ARG_CHOICE, &s->decay, 0, 0, "plain|lp", "lp: as the l_p distance sees the weights, of 2021", 1, 0},
        {"augment", ARG_COUNT, &s->augment, AUGMENT_FIRST_YEAR, AUGMENT_LAST_YEAR, "YEAR",
         "random crops and flips as in the recipes of 2022 or 2021", 1, 0},
        {"seed", ARG_SEED, &s->seed, 0, 0, "N", "of the net, the order and the generated digits", 1, 0},
        {"threads", ARG_COUNT, &s->threads, 0, 1024, "N", "0 (default): one per CPU; more than CPUs is allowed", 0, 0},
        {"steps", ARG_COUNT, &s->steps, 0, 1e15, "N", "stop after this many steps in all; 0 (default): never", 0, 0},
        {"out", ARG_TEXT, &s->out, 0, 0, "FILE", "write the trained model", 0, 0},
        {"checkpoint", ARG_TEXT, &s->checkpoint, 0, 0, "FILE", "written after every epoch and when it stops", 0, 0},
        {"resume", ARG_TEXT, &s->resume, 0, 0, "FILE", "go on from a checkpoint, with its settings", 0, 0},
        {"log", ARG_TEXT, &s->log, 0, 0, "DIR", "write train.csv, test.csv, train-inf.csv, test-inf.csv", 0, 0},
    };
    memcpy(s->flags, flags, sizeof flags);
}
/* clang-format on */

/* The recipe that was asked for counts as given; without one the data set's own fills in. */
static int apply_recipes(settings *s, problem *what) {
    if (s->recipe) {
        const recipe *asked = recipes_find(s->recipe);
        if (!asked) return problem_set(what, "--recipe '%s': unknown; --list-recipes lists them", s->recipe);
        if (recipe_apply(asked, s->flags, SETTINGS_FLAGS, ARG_GIVEN, what) != 0) return -1;
    }
    if (s->resume) return 0;
    return recipe_apply(recipes_usual(s->data, settings_linear_head(s)), s->flags, SETTINGS_FLAGS, ARG_DEFAULTED, what);
}

/* With the constants of its authors. */
static linfdist_loss published_loss(const settings *s) {
    static const int32_t kinds[] = {LINFDIST_LOSS_MIXTURE, LINFDIST_LOSS_HINGE, LINFDIST_LOSS_CROSSENTROPY};
    linfdist_loss loss;
    (void)linfdist_loss_init(&loss, sizeof loss, kinds[s->loss]);
    return loss;
}

/* What mix is depends on the loss, so that no recipe can fill it in for all. */
static void default_mix(settings *s) {
    const char name[] = "mix";
    if (args_find(s->flags, SETTINGS_FLAGS, name, sizeof name - 1)->origin == ARG_UNSET) s->mix = published_loss(s).mix;
}

int settings_parse(settings *s, int argc, char **argv, problem *what) {
    memset(s, 0, sizeof *s);
    s->data = "digits";
    fill_flags(s);
    int status = args_parse(s->flags, SETTINGS_FLAGS, argc, argv, what);
    if (status == 0) status = apply_recipes(s, what);
    if (status == 0) default_mix(s);
    return status;
}

linfdist_loss settings_loss(const settings *s) {
    linfdist_loss loss = published_loss(s);
    loss.mix = s->mix;
    loss.clip = s->clip;
    return loss;
}

int32_t settings_decay(const settings *s) {
    static const int32_t decays[] = {LINFDIST_DECAY_PLAIN, LINFDIST_DECAY_LP};
    return decays[s->decay];
}

int settings_linear_head(const settings *s) {
    return s->net == NET_HYBRID || s->net == NET_CONV_HYBRID;
}

static void print_recipes(FILE *out) {
    size_t count;
    const recipe *all = recipes_all(&count);
    for (size_t i = 0; i < count; ++i)
        fprintf(out, "  %-26s %s%s%s:\n                             %s\n", all[i].name, all[i].summary,
                all[i].base ? "; based on " : "", all[i].base ? all[i].base : "", all[i].values);
}

static void print_help(FILE *out, const char *usage, const settings *s) {
    fprintf(out,
            "usage: %s\n\nTrains an l_inf-distance net, certifies it, and ends with one JSON object on stdout.\n\n",
            usage);
    args_print_help(out, s->flags, SETTINGS_FLAGS);
    fprintf(out, "\nFlags that are not given take the values of --recipe; without one, those of the default recipe of\n"
                 "the data set and the kind of net; with --resume, those of the checkpoint. Recipes:\n");
    print_recipes(out);
    fprintf(out,
            "\n--bounds interval trains through the interval bounds of every layer, at p = infinity from the start:\n"
            "--p-start and --p-end do not count, and c..d of --epochs is lambda's alone. Only nets with a linear head\n"
            "(hybrid, conv-hybrid) may begin at eps = 0.\n");
    fprintf(out,
            "\nLogs of --log, with accuracies as fractions; examples/plot.sh draws them:\n"
            "  train.csv      every epoch: the augmented images it trained on, at their p\n"
            "  test.csv       every 5 epochs and in the last 5: the test images, at the p the epoch began with\n"
            "  test-inf.csv   as often: the test images at p = infinity, right (clean) and certified at --eps-test\n"
            "  train-inf.csv  as often: the same for all training images, as they are in the data set\n");
}

void settings_print(const settings *s, const char *usage, FILE *out) {
    if (s->list_recipes)
        print_recipes(out);
    else
        print_help(out, usage, s);
}

size_t settings_save(const settings *s, const dataset *data, const position *at, char state[STATE_SIZE]) {
    char sum[FORMAT_REAL_SIZE];
    format_real(at->loss_sum, sum, sizeof sum);
    size_t used = (size_t)snprintf(state, STATE_SIZE,
                                   STATE_HEADING "data=%s\nfingerprint=%016" PRIx64 "\nepoch=%" PRId64
                                                 "\nbatch-index=%" PRId64 "\nsamples=%" PRId64 "\ncorrect=%" PRId64
                                                 "\ncertified=%" PRId64 "\nloss-sum=%s\n",
                                   data->name, dataset_fingerprint(data, &data->train), at->epoch, at->batch,
                                   at->samples, at->correct, at->certified, sum);
    for (size_t i = 0; i < SETTINGS_FLAGS; ++i) {
        if (!s->flags[i].stored) continue;
        char value[128];
        arg_format(&s->flags[i], value, sizeof value);
        used += (size_t)snprintf(state + used, STATE_SIZE - used, "%s=%s\n", s->flags[i].name, value);
    }
    return used;
}

/* The value of a line "name=value" of the state. */
static int find_value(const char *state, const char *name, char *value, size_t size, problem *what) {
    size_t name_length = strlen(name);
    for (const char *line = state; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, name_length) != 0 || line[name_length] != '=') continue;
        const char *found = line + name_length + 1;
        size_t length = strcspn(found, "\n");
        if (length >= size) break;
        memcpy(value, found, length);
        value[length] = '\0';
        return 0;
    }
    return problem_set(what, "the checkpoint has no valid '%s'", name);
}

/* As find_value, for a flag. The first checkpoints had not all of them: what was done before there was a choice. */
static int find_stored(const char *state, const char *name, char *value, size_t size, problem *what) {
    static const char *const later[][2] = {{"scalar", "learned"}, {"epochs-of", "2022"}, {"eps-smooth", "0"},
                                           {"loss", "mixture"},   {"mix", "0"},          {"clip", "1"},
                                           {"lr-steps", "none"},  {"augment", "2022"},   {"weight-decay", "0"},
                                           {"decay", "plain"},    {"net", "mlp"},        {"hidden", "256"},
                                           {"features", "512"},   {"width-factor", "1"}, {"bounds", "lipschitz"}};
    if (find_value(state, name, value, size, what) == 0) return 0;
    for (size_t i = 0; i < sizeof later / sizeof *later; ++i)
        if (strcmp(later[i][0], name) == 0) return snprintf(value, size, "%s", later[i][1]) > 0 ? 0 : -1;
    return -1;
}

static int resume_position(position *at, const char *state, problem *what) {
    const double most = 9e15; /* exact in a double */
    arg fields[] = {{"epoch", ARG_COUNT, &at->epoch, 0, most, "", "", 1, 0},
                    {"batch-index", ARG_COUNT, &at->batch, 0, most, "", "", 1, 0},
                    {"samples", ARG_COUNT, &at->samples, 0, most, "", "", 1, 0},
                    {"correct", ARG_COUNT, &at->correct, 0, most, "", "", 1, 0},
                    {"certified", ARG_COUNT, &at->certified, 0, most, "", "", 1, 0},
                    {"loss-sum", ARG_REAL, &at->loss_sum, 0, 1e300, "", "", 1, 0}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; ++i) {
        char value[64];
        if (find_value(state, fields[i].name, value, sizeof value, what) != 0) return -1;
        if (arg_set(&fields[i], value, ARG_GIVEN, what) != 0)
            return problem_set(what, "the checkpoint has no valid '%s'", fields[i].name);
    }
    return 0;
}

int settings_resume(settings *s, position *at, const char *state, problem *what) {
    if (strncmp(state, STATE_HEADING, strlen(STATE_HEADING)) != 0)
        return problem_set(what, "not a checkpoint of train");
    for (size_t i = 0; i < SETTINGS_FLAGS; ++i) {
        arg *flag = &s->flags[i];
        char stored[128], given[128];
        if (!flag->stored) continue;
        if (find_stored(state, flag->name, stored, sizeof stored, what) != 0) return -1;
        arg_format(flag, given, sizeof given);
        if (flag->origin == ARG_GIVEN && strcmp(given, stored) != 0)
            return problem_set(what, "--%s %s: the checkpoint was trained with %s", flag->name, given, stored);
        if (arg_set(flag, stored, flag->origin, what) != 0) return -1;
    }
    return resume_position(at, state, what);
}

int settings_check_data(const dataset *data, const char *state, problem *what) {
    char name[sizeof data->name], fingerprint[32], found[32];
    if (find_value(state, "data", name, sizeof name, what) != 0 ||
        find_value(state, "fingerprint", fingerprint, sizeof fingerprint, what) != 0)
        return -1;
    if (strcmp(name, data->name) != 0)
        return problem_set(what, "--data %s: the checkpoint was trained with %s", data->name, name);
    snprintf(found, sizeof found, "%016" PRIx64, dataset_fingerprint(data, &data->train));
    if (strcmp(found, fingerprint) != 0)
        return problem_set(what, "--data %s: its training images are not those of the checkpoint", data->name);
    return 0;
}
