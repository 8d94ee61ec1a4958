/* The scatters of one number per output have little to vectorise: the reference's loops. */

void ISA(linf_backward_x)(const lfd_shape *s, const float *x, const float *w, const int32_t *argmax,
                          const float *grad_y, float *grad_d, float *grad_x) {
    lfd_ref_linf_backward_x(s, x, w, argmax, grad_y, grad_d, grad_x);
}

void ISA(linf_backward_w)(const lfd_shape *s, const int32_t *argmax, const float *grad_d, float *grad_w) {
    lfd_ref_linf_backward_w(s, argmax, grad_d, grad_w);
}

void ISA(bounds_backward_x)(const lfd_shape *s, const float *xl, const float *xu, const float *w, const int32_t *arg_l,
                            const int32_t *arg_u, const float *grad_yl, const float *grad_yu, float *grad_xl,
                            float *grad_xu) {
    lfd_ref_bounds_backward_x(s, xl, xu, w, arg_l, arg_u, grad_yl, grad_yu, grad_xl, grad_xu);
}

void ISA(bounds_backward_w)(const lfd_shape *s, const float *xl, const float *xu, const float *w, const int32_t *arg_l,
                            const int32_t *arg_u, const float *grad_yl, const float *grad_yu, float *grad_w) {
    lfd_ref_bounds_backward_w(s, xl, xu, w, arg_l, arg_u, grad_yl, grad_yu, grad_w);
}
