/* Powers and roots of floats, in whichever vocabulary was included before: the same operations in the same order for
 * every lane count, so the same bits. Relative error of r^p: about p 2^-23, from the roundings of r and of log2 r.
 *
 * The chains of operations are long and the processor's windows short, so the functions take n vectors and interleave
 * them step by step. */

enum { POWER_MOST = 6 }; /* vectors at a time, where registers allow */
/* EACH begins a loop. */
/* clang-format off */
#define EACH LFD_UNROLL for (size_t i = 0; i < n; ++i)

/* log2 of normal positive x, given x' = POWER_SCALE x: log receives log2 of the mantissas and exponent the exponents.
 * The mantissa's top four bits choose c, about its reciprocal, and log2 = L + log2(1 + f) with f = mantissa c - 1,
 * |f| < 0.0304, Chebyshev-fitted to 7.7e-8. The scale puts x = 1 into the middle of the first interval, where L is 0
 * and nothing cancels. */
LFD_INLINE void log2_split(size_t n, const vf *scaled, vf *log, vf *exponent) {
    static const float reciprocals[16] = {0x1.f07c2p-1f,  0x1.d41d42p-1f, 0x1.bacf92p-1f, 0x1.a41a42p-1f,
                                          0x1.8f9c18p-1f, 0x1.7d05f4p-1f, 0x1.6c16c2p-1f, 0x1.5c9882p-1f,
                                          0x1.4e5e0ap-1f, 0x1.414142p-1f, 0x1.3521dp-1f,  0x1.29e412p-1f,
                                          0x1.1f7048p-1f, 0x1.15b1e6p-1f, 0x1.0c9714p-1f, 0x1.041042p-1f};
    static const float logs[16] = {-0x1.715476p-25f, 0x1.5bb474p-4f, 0x1.520a9p-3f,  0x1.ed95a6p-3f,
                                   0x1.40ac7ap-2f,   0x1.870918p-2f, 0x1.ca32aep-2f, 0x1.05384p-1f,
                                   0x1.24006ep-1f,   0x1.418d4ep-1f, 0x1.5df72ap-1f, 0x1.79539p-1f,
                                   0x1.93b5bcp-1f,   0x1.ad2ef6p-1f, 0x1.c5cecap-1f, 0x1.dda332p-1f};
    vf f[POWER_MOST], sum[POWER_MOST];
    EACH f[i] = vf_sub(vf_mul(vf_mantissa(scaled[i]), vf_lookup(reciprocals, scaled[i])), vf_set(1.0f));
    EACH sum[i] = vf_add(vf_mul(vf_set(0x1.eca4bap-2f), f[i]), vf_set(-0x1.71750ap-1f));
    EACH sum[i] = vf_add(vf_mul(sum[i], f[i]), vf_set(0x1.715476p+0f));
    EACH exponent[i] = vf_exponent(scaled[i]);
    EACH log[i] = vf_add(vf_lookup(logs, scaled[i]), vf_mul(sum[i], f[i]));
}

/* z <- 2^z for z in [-125, 127]. Adding 1.5 2^20 rounds z to eighths, whose number then stands in the low bits; the rest,
 * at most 1/16, takes a cubic without its constant term, fitted to 2.7e-8. */
LFD_INLINE void exp2_floats(size_t n, vf *z) {
    /* the bits of 2^(j/8), less j << 20, which the shifted number of eighths brings along; twice for 16 lanes */
    static const int32_t eighths[16] = {0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7, 0x3f7504f3, 0x3f75672a,
                                        0x3f7744fd, 0x3f7ac0c7, 0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7,
                                        0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7};
    vf magic = vf_set(0x1.8p20f), shifted[POWER_MOST], sum[POWER_MOST];
    EACH shifted[i] = vf_add(z[i], magic);
    EACH z[i] = vf_sub(z[i], vf_sub(shifted[i], magic));
    EACH sum[i] = vf_add(vf_mul(vf_set(0x1.c6a004p-5f), z[i]), vf_set(0x1.ec0c32p-3f));
    EACH sum[i] = vf_add(vf_mul(sum[i], z[i]), vf_set(0x1.62e432p-1f));
    EACH sum[i] = vf_mul(sum[i], z[i]);
    EACH z[i] = vf_from_eighths(eighths, shifted[i]);
    EACH z[i] = vf_add(z[i], vf_mul(z[i], sum[i]));
}

/* r <- r^p for normal r in (0, 1.9) with r^p >= 2^-125, given r' = POWER_SCALE r. */
LFD_INLINE void powers(size_t n, vf *r, vf p) {
    vf log[POWER_MOST], exponent[POWER_MOST];
    log2_split(n, r, log, exponent);
    EACH r[i] = vf_mul(p, vf_add(exponent[i], log[i]));
    exp2_floats(n, r);
}

/* s^(1/p) for s in [2^-100, 2^110]. The exponent's multiple of p becomes the result's exponent, so that only the small
 * rest is rounded. */
LFD_INLINE vf root(vf s, vf p, vf inv_p) {
    vf magic = vf_set(0x1.8p23f), scaled = vf_mul(s, vf_set(POWER_SCALE)), log, exponent;
    log2_split(1, &scaled, &log, &exponent);
    vf shifted = vf_add(vf_mul(exponent, inv_p), magic), whole = vf_sub(shifted, magic);
    vf rest = vf_mul(vf_add(vf_sub(exponent, vf_mul(whole, p)), log), inv_p);
    exp2_floats(1, &rest);
    return vf_scale_by_power(rest, shifted);
}

/* clang-format on */
#undef EACH
