/* Powers and roots of floats, in whichever vocabulary was included before: the same operations in the same order for
 * every lane count, so the same bits. Relative error of r^p: about p 2^-23 from the rounding of r and of log2 r. */

/* log2 of a normal positive number: returns log2 of its part in [sqrt(1/2), sqrt(2)) and its exponent in *e. The
 * polynomial is f P(f) with f = m - 1, Chebyshev-fitted; |error| <= 1.3e-7 and relative 3.2e-7 near f = 0. */
static inline vf log2_split(vf x, vf *e) {
    vi sqrt_half = vi_set(0x3f3504f3);
    vi exponent = vi_shift_right_23(vi_sub(vi_from_bits(x), sqrt_half));
    vf f = vf_sub(vf_from_bits(vi_sub(vi_from_bits(x), vi_shift_left_23(exponent))), vf_set(1.0f));
    vf sum = vf_set(-0x1.245f38p-3f);
    sum = vf_add(vf_mul(sum, f), vf_set(0x1.dc78f4p-3f));
    sum = vf_add(vf_mul(sum, f), vf_set(-0x1.fe823ap-3f));
    sum = vf_add(vf_mul(sum, f), vf_set(0x1.262f0ep-2f));
    sum = vf_add(vf_mul(sum, f), vf_set(-0x1.70dedep-2f));
    sum = vf_add(vf_mul(sum, f), vf_set(0x1.ec756ep-2f));
    sum = vf_add(vf_mul(sum, f), vf_set(-0x1.71552cp-1f));
    sum = vf_add(vf_mul(sum, f), vf_set(0x1.715476p+0f));
    *e = vf_from_int(exponent);
    return vf_mul(sum, f);
}

/* 2^z for z in [-125, 127]. Adding 1.5 2^23 rounds z to an integer that then stands in the low bits. */
static inline vf exp2_float(vf z) {
    vf magic = vf_set(0x1.8p23f);
    vf shifted = vf_add(z, magic);
    vf f = vf_sub(z, vf_sub(shifted, magic));
    vf sum = vf_set(0x1.5ec866p-10f);
    sum = vf_add(vf_mul(sum, f), vf_set(0x1.3cbf60p-7f));
    sum = vf_add(vf_mul(sum, f), vf_set(0x1.c6afeep-5f));
    sum = vf_add(vf_mul(sum, f), vf_set(0x1.ebfa4cp-3f));
    sum = vf_add(vf_mul(sum, f), vf_set(0x1.62e430p-1f));
    sum = vf_add(vf_mul(sum, f), vf_set(1.0f));
    return vf_from_bits(vi_add(vi_from_bits(sum), vi_shift_left_23(vi_from_bits(shifted))));
}

/* r^p for normal r in (0, 2) with r^p >= 2^-125. */
static inline vf power_float(vf r, vf p) {
    vf e;
    vf log = log2_split(r, &e);
    return exp2_float(vf_mul(p, vf_add(e, log)));
}

/* s^(1/p) for normal s > 0. The exponent's multiple of p becomes the result's exponent, so that only the small rest
 * is rounded. */
static inline vf root_float(vf s, vf p, vf inv_p) {
    vf magic = vf_set(0x1.8p23f);
    vf e;
    vf log = log2_split(s, &e);
    vf shifted = vf_add(vf_mul(e, inv_p), magic);
    vf whole = vf_sub(shifted, magic);
    vf rest = vf_add(vf_sub(e, vf_mul(whole, p)), log);
    vf fraction = exp2_float(vf_mul(rest, inv_p));
    return vf_from_bits(vi_add(vi_from_bits(fraction), vi_shift_left_23(vi_from_bits(shifted))));
}
