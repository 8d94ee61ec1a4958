/* Arithmetic and square roots only (IEEE, exactly rounded), so every machine draws the same bytes. */
#include "digits.h"

#include "glyphs.h"

#include <math.h>
#include <string.h>

#define SIDE 28
#define CURVE_STEPS 5 /* straight pieces between two points of a curve */

/* Ranges of the random hand; lengths in pixels. */
#define HEIGHT_LOW 16.0
#define HEIGHT_HIGH 21.0
#define ASPECT_LOW 0.75
#define ASPECT_HIGH 1.2
#define SLANT 0.4
#define TURN 0.15 /* tangent of half the largest rotation */
#define SHIFT 2.0
#define WOBBLE 0.07 /* of the height */
#define PEN_LOW 0.9
#define PEN_HIGH 1.8
#define INK_LOW 0.85
#define NOISE 0.08

typedef struct vec2 {
    double x, y;
} vec2;

/* From glyph units to pixels: p -> m p + shift. */
typedef struct placement {
    double xx, xy, yx, yy;
    vec2 shift;
} placement;

/* Distance from every pixel centre to the nearest stroke, squared. */
typedef struct canvas {
    double distance2[SIDE * SIDE];
    double reach; /* farther pixels stay white and need not be visited */
} canvas;

static placement random_placement(rng *r) {
    double height = rng_between(r, HEIGHT_LOW, HEIGHT_HIGH);
    double width = height * rng_between(r, ASPECT_LOW, ASPECT_HIGH);
    double slant = rng_between(r, -SLANT, SLANT);
    double t = rng_between(r, -TURN, TURN); /* half-angle tangent: a rotation without sine or cosine */
    double c = (1.0 - t * t) / (1.0 + t * t), s = 2.0 * t / (1.0 + t * t);
    placement place = {c * width, -(c * slant + s) * height, s * width, (c - s * slant) * height, {0.0, 0.0}};
    place.shift.x = 0.5 * SIDE + rng_between(r, -SHIFT, SHIFT);
    place.shift.y = 0.5 * SIDE + rng_between(r, -SHIFT, SHIFT);
    return place;
}

static vec2 place_point(const placement *place, glyph_point point, rng *r) {
    double x = 0.01 * point.x + rng_between(r, -WOBBLE, WOBBLE);
    double y = 0.01 * point.y - 0.5 + rng_between(r, -WOBBLE, WOBBLE);
    vec2 p = {place->xx * x + place->xy * y + place->shift.x, place->yx * x + place->yy * y + place->shift.y};
    return p;
}

static double distance2_to_segment(double px, double py, vec2 a, vec2 b) {
    double dx = b.x - a.x, dy = b.y - a.y;
    double length2 = dx * dx + dy * dy;
    double t = length2 > 0.0 ? ((px - a.x) * dx + (py - a.y) * dy) / length2 : 0.0;
    t = t < 0.0 ? 0.0 : t > 1.0 ? 1.0 : t;
    double ex = px - a.x - t * dx, ey = py - a.y - t * dy;
    return ex * ex + ey * ey;
}

/* First and one past the last pixel whose centre may lie within reach of [low, high]. */
static void pixel_range(double low, double high, double reach, int *first, int *end) {
    *first = low - reach < 0.0 ? 0 : low - reach > SIDE ? SIDE : (int)(low - reach);
    *end = high + reach + 1.0 > SIDE ? SIDE : high + reach + 1.0 < 0.0 ? 0 : (int)(high + reach + 1.0);
}

static void draw_segment(canvas *paper, vec2 a, vec2 b) {
    int x_first, x_end, y_first, y_end;
    pixel_range(a.x < b.x ? a.x : b.x, a.x < b.x ? b.x : a.x, paper->reach, &x_first, &x_end);
    pixel_range(a.y < b.y ? a.y : b.y, a.y < b.y ? b.y : a.y, paper->reach, &y_first, &y_end);
    for (int y = y_first; y < y_end; ++y)
        for (int x = x_first; x < x_end; ++x) {
            double *nearest = &paper->distance2[y * SIDE + x];
            double d2 = distance2_to_segment(x + 0.5, y + 0.5, a, b);
            if (d2 < *nearest) *nearest = d2;
        }
}

/* Catmull-Rom: the curve from b to c that heads from a to d. */
static vec2 curve_point(vec2 a, vec2 b, vec2 c, vec2 d, double t) {
    double wa = t * (t * (2.0 - t) - 1.0), wb = t * t * (3.0 * t - 5.0) + 2.0;
    double wc = t * (t * (4.0 - 3.0 * t) + 1.0), wd = t * t * (t - 1.0);
    vec2 p = {0.5 * (wa * a.x + wb * b.x + wc * c.x + wd * d.x), 0.5 * (wa * a.y + wb * b.y + wc * c.y + wd * d.y)};
    return p;
}

/* One stroke through count points. At its ends and at corners the curve has no direction to keep. */
static void draw_stroke(canvas *paper, const glyph_point *kinds, const vec2 *points, int count) {
    for (int i = 0; i + 1 < count; ++i) {
        vec2 b = points[i], c = points[i + 1];
        vec2 a = i > 0 && kinds[i].kind == GLYPH_SMOOTH ? points[i - 1] : b;
        vec2 d = kinds[i + 1].kind == GLYPH_SMOOTH ? points[i + 2] : c;
        vec2 from = b;
        for (int step = 1; step <= CURVE_STEPS; ++step) {
            vec2 to = curve_point(a, b, c, d, (double)step / CURVE_STEPS);
            draw_segment(paper, from, to);
            from = to;
        }
    }
}

static void draw_glyph(canvas *paper, const glyph *shape, rng *r) {
    placement place = random_placement(r);
    vec2 points[GLYPH_MAX_POINTS];
    int first = 0;
    for (int i = 0; i < shape->count; ++i) {
        points[i] = place_point(&place, shape->points[i], r);
        if (shape->points[i].kind == GLYPH_LIFT) {
            draw_stroke(paper, shape->points + first, points + first, i + 1 - first);
            first = i + 1;
        }
    }
}

/* Ink where the pen was, fading over one pixel at its edge, and noise everywhere. */
static void develop(const canvas *paper, double pen, double ink, rng *r, uint8_t *pixels) {
    for (int i = 0; i < SIDE * SIDE; ++i) {
        double cover = pen + 0.5 - sqrt(paper->distance2[i]);
        cover = cover < 0.0 ? 0.0 : cover > 1.0 ? 1.0 : cover;
        double value = ink * cover + rng_between(r, -NOISE, NOISE);
        value = value < 0.0 ? 0.0 : value > 1.0 ? 1.0 : value;
        pixels[i] = (uint8_t)(255.0 * value + 0.5);
    }
}

static int32_t draw_image(rng *r, uint8_t *pixels) {
    canvas paper;
    for (int i = 0; i < SIDE * SIDE; ++i) paper.distance2[i] = 4.0 * SIDE * SIDE;
    int32_t digit = (int32_t)rng_below(r, 10);
    const glyph *variants[GLYPH_MAX_VARIANTS];
    int count = glyphs_of(digit, variants);
    const glyph *shape = variants[rng_below(r, (uint32_t)count)];
    double pen = rng_between(r, PEN_LOW, PEN_HIGH);
    double ink = rng_between(r, INK_LOW, 1.0);
    paper.reach = pen + 0.5;
    draw_glyph(&paper, shape, r);
    develop(&paper, pen, ink, r, pixels);
    return digit;
}

int digits_generate(dataset_split *images, int64_t count, uint64_t seed, enum rng_purpose split, problem *what) {
    if (dataset_split_alloc(images, count, SIDE * SIDE, what) != 0) return -1;
    for (int64_t i = 0; i < count; ++i) {
        rng r = rng_at(seed, split, (uint64_t)i);
        images->labels[i] = draw_image(&r, images->pixels + i * SIDE * SIDE);
    }
    return 0;
}
