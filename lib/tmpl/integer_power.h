/* |t|^n for small n, and its derivative's factor, with plain products in one fixed order. n is a constant wherever
 * these are inlined. Needs vf_abs, vf_sign (-1, 0 or 1) beside the arithmetic. */

static inline vf integer_power(vf t, int n) {
    vf t2 = vf_mul(t, t);
    vf t4 = vf_mul(t2, t2);
    switch (n) {
    case 1: return vf_abs(t);
    case 2: return t2;
    case 3: return vf_mul(t2, vf_abs(t));
    case 4: return t4;
    case 5: return vf_mul(t4, vf_abs(t));
    case 6: return vf_mul(t4, t2);
    case 7: return vf_mul(vf_mul(t4, t2), vf_abs(t));
    default: return vf_mul(t4, t4);
    }
}

/* sign(u) |u|^(n - 1). */
static inline vf integer_gradient(vf u, int n) {
    vf u2 = vf_mul(u, u);
    vf u4 = vf_mul(u2, u2);
    switch (n) {
    case 1: return vf_sign(u);
    case 2: return u;
    case 3: return vf_mul(u, vf_abs(u));
    case 4: return vf_mul(u2, u);
    case 5: return vf_mul(vf_mul(u2, u), vf_abs(u));
    case 6: return vf_mul(u4, u);
    case 7: return vf_mul(vf_mul(u4, u), vf_abs(u));
    default: return vf_mul(vf_mul(u4, u2), u);
    }
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
