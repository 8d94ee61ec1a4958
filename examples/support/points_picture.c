/* The picture of points_draw's points, as SVG: one path of grid cells per class, merged into rectangles. */
#include "path.h"
#include "points.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRID = 300, CELL = 2, SIDE = GRID * CELL, LEFT = 20, TOP = 52, LEGEND = LEFT + SIDE + 24 };

/* Dark enough for a mark, light enough for a region, apart in lightness and hue for every kind of colour vision (after
 * the palette of Okabe and Ito); the marks differ in shape, too. */
typedef struct look {
    const char *mark, *region, *shape; /* the shape around (0, 0) */
} look;

static const look looks[POINTS_MOST_CLASSES] = {
    {"#0072b2", "#a6d0f2", "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z"},               /* circle */
    {"#b34700", "#fdc58a", "M0-5.8L5.4 4.2H-5.4z"},                                        /* triangle up */
    {"#003d2c", "#62bfa0", "M-4.1-4.1H4.1V4.1H-4.1z"},                                     /* square */
    {"#8f3a70", "#eabfda", "M0-6L6 0L0 6L-6 0z"},                                          /* diamond */
    {"#6b6400", "#f7f08a", "M0 5.8L5.4-4.2H-5.4z"},                                        /* triangle down */
    {"#222222", "#f4f4f4", "M-1.7-5.2H1.7V-1.7H5.2V1.7H1.7V5.2H-1.7V1.7H-5.2V-1.7H-1.7z"}, /* plus */
};

/* The unit square and a little more than the squares around its points. */
typedef struct view {
    FILE *out;
    double low, scale; /* pixel = (coordinate - low) scale */
    const point_set *set;
    double radius;
    int32_t *cells; /* GRID x GRID predictions, the top row first */
} view;

static double at_x(const view *v, double x) {
    return LEFT + (x - v->low) * v->scale;
}

static double at_y(const view *v, double y) {
    return TOP + SIDE - (y - v->low) * v->scale;
}

static int predict(const view *v, const linfdist_certifier *certifier, problem *what) {
    float row[2 * GRID];
    for (int i = 0; i < GRID; ++i) {
        for (int j = 0; j < GRID; ++j) {
            row[2 * j] = (float)(v->low + (j + 0.5) * CELL / v->scale);
            row[2 * j + 1] = (float)(v->low + (GRID - i - 0.5) * CELL / v->scale);
        }
        if (problem_check(what, linfdist_certify(certifier, LINFDIST_METHOD_MARGIN, row, 2, GRID,
                                                 v->cells + (size_t)i * GRID, NULL, NULL)) != 0)
            return -1;
    }
    return 0;
}

/* How many cells from there on are of the class. */
static int run_length(const int32_t *row, int from, int32_t k) {
    int end = from;
    while (end < GRID && row[end] == k) ++end;
    return end - from;
}

/* Rectangles: each run of a class in a row, down as far as the rows below have the same run. Cells that were drawn are
 * marked. */
static void draw_region(const view *v, int32_t k) {
    fprintf(v->out, "<path fill=\"%s\" d=\"", looks[k].region);
    for (int i = 0; i < GRID; ++i)
        for (int j = 0; j < GRID; ++j) {
            int32_t *row = v->cells + (size_t)i * GRID;
            const int across = run_length(row, j, k);
            int down = 0;
            if (across == 0) continue;
            for (; i + down < GRID && run_length(row, j, k) == across; ++down, row += GRID)
                for (int n = 0; n < across; ++n) row[j + n] = -1;
            fprintf(v->out, "M%d %dh%dv%dh%dz", LEFT + j * CELL, TOP + i * CELL, across * CELL, down * CELL,
                    -across * CELL);
        }
    fprintf(v->out, "\"/>\n");
}

static void draw_points(const view *v) {
    const double side = 2.0 * v->radius * v->scale;
    fprintf(v->out, "<g fill=\"none\" stroke=\"#000\" stroke-width=\"1.2\">\n");
    for (int64_t i = 0; i < v->set->count; ++i)
        fprintf(v->out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
                at_x(v, (double)v->set->x[2 * i] - v->radius), at_y(v, (double)v->set->x[2 * i + 1] + v->radius), side,
                side);
    fprintf(v->out, "</g>\n");
    for (int64_t i = 0; i < v->set->count; ++i) {
        const look *l = &looks[v->set->labels[i]];
        fprintf(v->out, "<path fill=\"%s\" transform=\"translate(%.1f %.1f)\" d=\"%s\"/>\n", l->mark,
                at_x(v, (double)v->set->x[2 * i]), at_y(v, (double)v->set->x[2 * i + 1]), l->shape);
    }
}

static void draw_legend(const view *v) {
    int y = TOP + 16;
    for (int64_t k = 0; k < v->set->classes; ++k, y += 34)
        fprintf(v->out,
                "<rect x=\"%d\" y=\"%d\" width=\"26\" height=\"26\" fill=\"%s\"/>"
                "<path fill=\"%s\" transform=\"translate(%d %d)\" d=\"%s\"/><text x=\"%d\" y=\"%d\">class %d</text>\n",
                LEGEND, y - 13, looks[k].region, looks[k].mark, LEGEND + 13, y, looks[k].shape, LEGEND + 38, y + 5,
                (int)k);
    y += 10;
    fprintf(v->out,
            "<rect x=\"%d\" y=\"%d\" width=\"24\" height=\"24\" fill=\"none\" stroke=\"#000\" stroke-width=\"1.2\"/>"
            "<text x=\"%d\" y=\"%d\">certified: every</text><text x=\"%d\" y=\"%d\">point within r</text>"
            "<text x=\"%d\" y=\"%d\">is of one class</text>\n",
            LEGEND + 1, y - 12, LEGEND + 38, y + 5, LEGEND + 38, y + 24, LEGEND + 38, y + 43);
    y += 74;
    fprintf(v->out,
            "<path d=\"M%d %dh26\" stroke=\"#000\" stroke-dasharray=\"5 4\"/><text x=\"%d\" y=\"%d\">unit square"
            "</text>\n",
            LEGEND, y, LEGEND + 38, y + 5);
}

static void draw(const view *v) {
    const int width = LEGEND + 170, height = TOP + SIDE + LEFT;
    fprintf(v->out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
            "font-family=\"sans-serif\" font-size=\"15\">\n<title>Well-separated points and the l_inf-distance net "
            "that certifies them</title>\n<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n"
            "<text x=\"%d\" y=\"32\" font-size=\"17\">%d points of %d classes, each certified at r = %g</text>\n"
            "<clipPath id=\"plane\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/></clipPath>\n"
            "<g shape-rendering=\"crispEdges\">\n",
            width, height, width, height, width, height, LEFT, (int)v->set->count, (int)v->set->classes, v->radius,
            LEFT, TOP, SIDE, SIDE);
    for (int32_t k = 0; k < v->set->classes; ++k) draw_region(v, k);
    fprintf(v->out,
            "</g>\n<g clip-path=\"url(#plane)\">\n<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
            "fill=\"none\" stroke=\"#000\" stroke-dasharray=\"5 4\"/>\n",
            at_x(v, 0.0), at_y(v, 1.0), v->scale, v->scale);
    draw_points(v);
    fprintf(v->out, "</g>\n");
    draw_legend(v);
    fprintf(v->out, "</svg>\n");
}

static int write_file(view *v, const char *path, problem *what) {
    if (path_check_target("picture", path, what) != 0) return -1;
    v->out = fopen(path, "w");
    if (!v->out) return problem_set(what, "--picture %s: %s", path, strerror(errno));
    draw(v);
    const int failed = ferror(v->out);
    if (fclose(v->out) == 0 && !failed) return 0;
    remove(path);
    return problem_set(what, "--picture %s: cannot be written", path);
}

int points_picture(const char *path, const point_set *set, const linfdist_certifier *certifier, double radius,
                   problem *what) {
    const double beyond = 1.25 * radius;
    view v = {.low = -beyond, .scale = SIDE / (1.0 + 2.0 * beyond), .set = set, .radius = radius};
    v.cells = malloc(sizeof *v.cells * GRID * GRID);
    if (!v.cells) return problem_set(what, "out of memory");
    int status = predict(&v, certifier, what);
    if (status == 0) status = write_file(&v, path, what);
    free(v.cells);
    return status;
}
