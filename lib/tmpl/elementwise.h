/* Elementwise kernels: any lane count gives the same bits. */

void ISA(adam)(size_t n, const lfd_adam *adam, const float *grad, float *w, float *m, float *v) {
    vf beta1 = vf_set(adam->beta1), rest1 = vf_set(adam->one_minus_beta1);
    vf beta2 = vf_set(adam->beta2), rest2 = vf_set(adam->one_minus_beta2);
    vf step = vf_set(adam->step_size), correction = vf_set(adam->sqrt_correction), epsilon = vf_set(adam->epsilon);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf g = vf_load(grad + i);
        vf mean = vf_add(vf_mul(beta1, vf_load(m + i)), vf_mul(rest1, g));
        vf square = vf_add(vf_mul(beta2, vf_load(v + i)), vf_mul(rest2, vf_mul(g, g)));
        vf scale = vf_add(vf_div(vf_sqrt(square), correction), epsilon);
        vf_store(m + i, mean);
        vf_store(v + i, square);
        vf_store(w + i, vf_sub(vf_load(w + i), vf_div(vf_mul(step, mean), scale)));
    }
    lfd_ref_adam(n - i, adam, grad + i, w + i, m + i, v + i);
}

size_t ISA(first_outside)(size_t n, float low, float high, const float *x) {
    const vf from = vf_set(low), to = vf_set(high);
    const uint32_t all = (uint32_t)((UINT64_C(1) << LANES) - 1);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vf numbers = vf_load(x + i);
        if ((vm_bits(vf_at_least(numbers, from)) & vm_bits(vf_at_least(to, numbers))) != all) break;
    }
    return i + lfd_ref_first_outside(n - i, low, high, x + i);
}
