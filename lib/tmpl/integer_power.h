/* |t|^n for small n, and its derivative's factor, with plain products in one fixed order. n is a constant wherever
 * these are inlined. Needs vf_abs, vf_sign (-1, 0 or 1) beside the arithmetic, and power.h, for the loops too. */

/* clang-format off */
/* t <- |t|^n. */
LFD_INLINE void integer_powers(size_t count, vf *t, int n) {
    vf t2[POWER_MOST], t4[POWER_MOST];
    EACH t2[i] = vf_mul(t[i], t[i]);
    EACH t4[i] = vf_mul(t2[i], t2[i]);
    if (n == 6 || n == 7) { EACH t4[i] = vf_mul(t4[i], t2[i]); }
    switch (n) {
    case 1: EACH t[i] = vf_abs(t[i]); break;
    case 2: EACH t[i] = t2[i]; break;
    case 3: EACH t[i] = vf_mul(t2[i], vf_abs(t[i])); break;
    case 4: case 6: EACH t[i] = t4[i]; break;
    case 5: case 7: EACH t[i] = vf_mul(t4[i], vf_abs(t[i])); break;
    default: EACH t[i] = vf_mul(t4[i], t4[i]);
    }
}

/* u <- sign(u) |u|^(n - 1). */
LFD_INLINE void integer_gradients(size_t count, vf *u, int n) {
    vf power[POWER_MOST], u2[POWER_MOST];
    EACH u2[i] = vf_mul(u[i], u[i]);
    EACH power[i] = n < 6 ? u2[i] : vf_mul(u2[i], u2[i]);
    if (n == 8) { EACH power[i] = vf_mul(power[i], u2[i]); }
    EACH power[i] = vf_mul(power[i], u[i]);
    switch (n) {
    case 1: EACH u[i] = vf_sign(u[i]); break;
    case 2: break;
    case 3: EACH u[i] = vf_mul(u[i], vf_abs(u[i])); break;
    case 5: case 7: EACH u[i] = vf_mul(power[i], vf_abs(u[i])); break;
    default: EACH u[i] = power[i];
    }
}
/* clang-format on */
#undef EACH

static inline vf integer_power(vf t, int n) {
    integer_powers(1, &t, n);
    return t;
}

static inline vf integer_gradient(vf u, int n) {
    integer_gradients(1, &u, n);
    return u;
}

/* s^(1/n): square roots where n allows (IEEE), the general root otherwise. */
static inline vf integer_root(vf s, int n) {
    switch (n) {
    case 1: return s;
    case 2: return vf_sqrt(s);
    case 4: return vf_sqrt(vf_sqrt(s));
    case 8: return vf_sqrt(vf_sqrt(vf_sqrt(s)));
    default: return root(s, vf_set((float)n), vf_set(1.0f / (float)n));
    }
}
