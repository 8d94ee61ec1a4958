/* Powers and roots of floats, in whichever vocabulary was included before: the same operations in the same order for
 * every lane count, so the same bits. */

/* Powers are chains of some ten operations and processors' windows are short: count vectors at a time go step by step,
 * each step a loop that EACH begins, here and in integer_power.h. */
enum { POWER_MOST = 6 };
#define EACH LFD_UNROLL for (size_t i = 0; i < count; ++i)

/* lfd_power_pieces, ready for use. */
typedef struct power_pieces {
    vf reciprocals[LFD_PIECES / LANES], values[LFD_PIECES / LANES], polynomial[LFD_DEGREE + 1];
    vf floor, density;
    int roots;
} power_pieces;

LFD_INLINE power_pieces power_load(const lfd_power_pieces *from) {
    power_pieces pieces;
    pieces.floor = vf_set(from->floor), pieces.density = vf_set(from->density), pieces.roots = from->roots;
    LFD_UNROLL
    for (size_t i = 0; i < LFD_PIECES / LANES; ++i) {
        pieces.reciprocals[i] = vf_load(from->reciprocals + i * LANES);
        pieces.values[i] = vf_load(from->values + i * LANES);
    }
    LFD_UNROLL
    for (size_t i = 0; i <= LFD_DEGREE; ++i) pieces.polynomial[i] = vf_set(from->polynomial[i]);
    return pieces;
}

/* clang-format off */
/* r <- |r|^q, given scale r; with the sign of r if that is kept. */
LFD_INLINE void powers(size_t count, vf *r, const power_pieces *pieces, int keep_sign) {
    vf size[POWER_MOST], value[POWER_MOST], sum[POWER_MOST];
    EACH size[i] = vf_max_magnitude(pieces->floor, r[i]);
    for (int k = 0; k < pieces->roots; ++k) EACH size[i] = vf_sqrt(size[i]);
    EACH {
        vf piece = vf_multiply_add(size[i], pieces->density, vf_set(0x1p23f)); /* its number in the low bits */
        value[i] = vf_lookup(pieces->values, piece);
        if (keep_sign) value[i] = vf_copysign(value[i], r[i]);
        r[i] = vf_multiply_subtract(size[i], vf_over_piece(pieces->reciprocals, pieces->density, piece), vf_set(1.0f));
    }
    EACH sum[i] = pieces->polynomial[LFD_DEGREE];
    LFD_UNROLL for (size_t k = LFD_DEGREE; k-- > 0;) EACH sum[i] = vf_multiply_add(sum[i], r[i], pieces->polynomial[k]);
    EACH r[i] = vf_mul(value[i], sum[i]);
}
/* clang-format on */

#define LOG_SCALE 0x1.08p0f /* exact */

/* log2 of normal positive x, given LOG_SCALE x: that of the mantissa, and the exponent.
 * The mantissa's top four bits choose c, about its reciprocal, and log2 = L + log2(1 + f) with f = mantissa c - 1,
 * |f| < 0.0304, Chebyshev-fitted to 7.7e-8. The scale puts x = 1 into the middle of the first interval, where L is 0
 * and nothing cancels. */
LFD_INLINE vf log2_split(vf scaled, vf *exponent) {
    static const float reciprocals[16] = {0x1.f07c2p-1f,  0x1.d41d42p-1f, 0x1.bacf92p-1f, 0x1.a41a42p-1f,
                                          0x1.8f9c18p-1f, 0x1.7d05f4p-1f, 0x1.6c16c2p-1f, 0x1.5c9882p-1f,
                                          0x1.4e5e0ap-1f, 0x1.414142p-1f, 0x1.3521dp-1f,  0x1.29e412p-1f,
                                          0x1.1f7048p-1f, 0x1.15b1e6p-1f, 0x1.0c9714p-1f, 0x1.041042p-1f};
    static const float logs[16] = {-0x1.715476p-25f, 0x1.5bb474p-4f, 0x1.520a9p-3f,  0x1.ed95a6p-3f,
                                   0x1.40ac7ap-2f,   0x1.870918p-2f, 0x1.ca32aep-2f, 0x1.05384p-1f,
                                   0x1.24006ep-1f,   0x1.418d4ep-1f, 0x1.5df72ap-1f, 0x1.79539p-1f,
                                   0x1.93b5bcp-1f,   0x1.ad2ef6p-1f, 0x1.c5cecap-1f, 0x1.dda332p-1f};
    vf f = vf_sub(vf_mul(vf_mantissa(scaled), vf_lookup_16(reciprocals, scaled)), vf_set(1.0f));
    vf sum = vf_add(vf_mul(vf_set(0x1.eca4bap-2f), f), vf_set(-0x1.71750ap-1f));
    sum = vf_add(vf_mul(sum, f), vf_set(0x1.715476p+0f));
    *exponent = vf_exponent(scaled);
    return vf_add(vf_lookup_16(logs, scaled), vf_mul(sum, f));
}

/* 2^z for z in [-125, 127]. Adding 1.5 2^20 rounds z to eighths, whose number then stands in the low bits; the rest,
 * at most 1/16, takes a cubic without its constant term, fitted to 2.7e-8. */
LFD_INLINE vf exp2_floats(vf z) {
    /* the bits of 2^(j/8), less j << 20, which the shifted number of eighths brings along; twice for 16 lanes */
    static const int32_t eighths[16] = {0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7, 0x3f7504f3, 0x3f75672a,
                                        0x3f7744fd, 0x3f7ac0c7, 0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7,
                                        0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7};
    vf magic = vf_set(0x1.8p20f), shifted = vf_add(z, magic), rest = vf_sub(z, vf_sub(shifted, magic));
    vf sum = vf_add(vf_mul(vf_set(0x1.c6a004p-5f), rest), vf_set(0x1.ec0c32p-3f));
    sum = vf_mul(vf_add(vf_mul(sum, rest), vf_set(0x1.62e432p-1f)), rest);
    vf power = vf_from_eighths(eighths, shifted);
    return vf_add(power, vf_mul(power, sum));
}

/* s^(1/p) for s in [2^-100, 2^110]. The exponent's multiple of p becomes the result's exponent, so that only the small
 * rest is rounded. */
LFD_INLINE vf root(vf s, vf p, vf inv_p) {
    vf magic = vf_set(0x1.8p23f), exponent, log = log2_split(vf_mul(s, vf_set(LOG_SCALE)), &exponent);
    vf shifted = vf_add(vf_mul(exponent, inv_p), magic), whole = vf_sub(shifted, magic);
    vf rest = vf_mul(vf_add(vf_sub(exponent, vf_mul(whole, p)), log), inv_p);
    return vf_scale_by_power(exp2_floats(rest), shifted);
}
#undef LOG_SCALE
