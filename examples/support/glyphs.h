/* How digits are written: pen strokes through points. */
#ifndef GLYPHS_H
#define GLYPHS_H

#include <stdint.h>

enum glyph_point_kind {
    GLYPH_SMOOTH, /* the pen passes in a curve */
    GLYPH_CORNER, /* the pen turns sharply */
    GLYPH_LIFT    /* last point of a stroke */
};

/* Hundredths of the digit's height: y from 0 (top) to 100, x around 0. */
typedef struct glyph_point {
    int8_t x, y;
    uint8_t kind;
} glyph_point;

#define GLYPH_MAX_POINTS 20
typedef struct glyph {
    int32_t digit;
    int32_t count;
    glyph_point points[GLYPH_MAX_POINTS];
} glyph;

#define GLYPH_MAX_VARIANTS 4
/* The variants of a digit in [0, 9]; returns how many, in variants. */
int glyphs_of(int digit, const glyph *variants[GLYPH_MAX_VARIANTS]);

#endif
