/* Layouts of the public structs and values of the enums, frozen: a program built against an older header keeps working.
 * A struct may grow at its end, within the same ABI version, by new lines here and a new size; no offset ever changes.
 * The layouts hold wherever pointers and size_t have 64 bits. */
#include <linfdist/linfdist.h>
#include <stddef.h>

#if UINTPTR_MAX == UINT64_MAX

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), "size of " #type)
#define AT(type, member, bytes) _Static_assert(offsetof(type, member) == (bytes), "offset of " #type "." #member)

/* linfdist_context_options */
SIZE(linfdist_context_options, 80);
AT(linfdist_context_options, struct_size, 0);
AT(linfdist_context_options, threads, 8);
AT(linfdist_context_options, isa, 16);
AT(linfdist_context_options, alloc, 24);
AT(linfdist_context_options, free, 32);
AT(linfdist_context_options, alloc_user, 40);
AT(linfdist_context_options, log, 48);
AT(linfdist_context_options, log_user, 56);
AT(linfdist_context_options, parallel_for, 64);
AT(linfdist_context_options, parallel_for_user, 72);

/* linfdist_distance_shape */
SIZE(linfdist_distance_shape, 64);
AT(linfdist_distance_shape, struct_size, 0);
AT(linfdist_distance_shape, batch, 8);
AT(linfdist_distance_shape, n_in, 16);
AT(linfdist_distance_shape, n_out, 24);
AT(linfdist_distance_shape, groups, 32);
AT(linfdist_distance_shape, x_stride, 40);
AT(linfdist_distance_shape, w_stride, 48);
AT(linfdist_distance_shape, y_stride, 56);

/* linfdist_statistics */
SIZE(linfdist_statistics, 48);
AT(linfdist_statistics, struct_size, 0);
AT(linfdist_statistics, channels, 8);
AT(linfdist_statistics, mean, 16);
AT(linfdist_statistics, std, 24);
AT(linfdist_statistics, low, 32);
AT(linfdist_statistics, high, 40);

/* linfdist_mlp_options */
SIZE(linfdist_mlp_options, 72);
AT(linfdist_mlp_options, struct_size, 0);
AT(linfdist_mlp_options, channels, 8);
AT(linfdist_mlp_options, height, 16);
AT(linfdist_mlp_options, width_px, 24);
AT(linfdist_mlp_options, classes, 32);
AT(linfdist_mlp_options, depth, 40);
AT(linfdist_mlp_options, width, 48);
AT(linfdist_mlp_options, identity_value, 56);
AT(linfdist_mlp_options, learned_scalar, 60);
AT(linfdist_mlp_options, seed, 64);

/* linfdist_layer */
SIZE(linfdist_layer, 88);
AT(linfdist_layer, struct_size, 0);
AT(linfdist_layer, kind, 8);
AT(linfdist_layer, name, 16);
AT(linfdist_layer, n_out, 24);
AT(linfdist_layer, groups, 32);
AT(linfdist_layer, out_channels, 40);
AT(linfdist_layer, kernel_h, 48);
AT(linfdist_layer, kernel_w, 56);
AT(linfdist_layer, stride, 64);
AT(linfdist_layer, dilation, 72);
AT(linfdist_layer, padding, 80);

/* linfdist_model_options */
SIZE(linfdist_model_options, 64);
AT(linfdist_model_options, struct_size, 0);
AT(linfdist_model_options, channels, 8);
AT(linfdist_model_options, height, 16);
AT(linfdist_model_options, width_px, 24);
AT(linfdist_model_options, classes, 32);
AT(linfdist_model_options, outputs, 40);
AT(linfdist_model_options, learned_scalar, 44);
AT(linfdist_model_options, identity_value, 48);
AT(linfdist_model_options, seed, 56);

/* linfdist_hybrid_options */
SIZE(linfdist_hybrid_options, 80);
AT(linfdist_hybrid_options, struct_size, 0);
AT(linfdist_hybrid_options, channels, 8);
AT(linfdist_hybrid_options, height, 16);
AT(linfdist_hybrid_options, width_px, 24);
AT(linfdist_hybrid_options, classes, 32);
AT(linfdist_hybrid_options, depth, 40);
AT(linfdist_hybrid_options, width, 48);
AT(linfdist_hybrid_options, hidden, 56);
AT(linfdist_hybrid_options, identity_value, 64);
AT(linfdist_hybrid_options, seed, 72);

/* linfdist_conv_options */
SIZE(linfdist_conv_options, 80);
AT(linfdist_conv_options, struct_size, 0);
AT(linfdist_conv_options, channels, 8);
AT(linfdist_conv_options, height, 16);
AT(linfdist_conv_options, width_px, 24);
AT(linfdist_conv_options, classes, 32);
AT(linfdist_conv_options, width_factor, 40);
AT(linfdist_conv_options, features, 48);
AT(linfdist_conv_options, hidden, 56);
AT(linfdist_conv_options, identity_value, 64);
AT(linfdist_conv_options, learned_scalar, 68);
AT(linfdist_conv_options, seed, 72);

/* linfdist_model_info */
SIZE(linfdist_model_info, 88);
AT(linfdist_model_info, struct_size, 0);
AT(linfdist_model_info, channels, 8);
AT(linfdist_model_info, height, 16);
AT(linfdist_model_info, width_px, 24);
AT(linfdist_model_info, n_in, 32);
AT(linfdist_model_info, classes, 40);
AT(linfdist_model_info, layers, 48);
AT(linfdist_model_info, tensors, 56);
AT(linfdist_model_info, parameters, 64);
AT(linfdist_model_info, learned_scalar, 72);
AT(linfdist_model_info, has_statistics, 76);
AT(linfdist_model_info, outputs, 80);

/* linfdist_layer_info */
SIZE(linfdist_layer_info, 136);
AT(linfdist_layer_info, struct_size, 0);
AT(linfdist_layer_info, kind, 8);
AT(linfdist_layer_info, n_in, 16);
AT(linfdist_layer_info, n_out, 24);
AT(linfdist_layer_info, groups, 32);
AT(linfdist_layer_info, name, 40);
AT(linfdist_layer_info, in_channels, 48);
AT(linfdist_layer_info, in_height, 56);
AT(linfdist_layer_info, in_width, 64);
AT(linfdist_layer_info, out_channels, 72);
AT(linfdist_layer_info, out_height, 80);
AT(linfdist_layer_info, out_width, 88);
AT(linfdist_layer_info, kernel_h, 96);
AT(linfdist_layer_info, kernel_w, 104);
AT(linfdist_layer_info, stride, 112);
AT(linfdist_layer_info, dilation, 120);
AT(linfdist_layer_info, padding, 128);

/* linfdist_tensor */
SIZE(linfdist_tensor, 72);
AT(linfdist_tensor, struct_size, 0);
AT(linfdist_tensor, name, 8);
AT(linfdist_tensor, data, 16);
AT(linfdist_tensor, dtype, 24);
AT(linfdist_tensor, role, 28);
AT(linfdist_tensor, dims, 32);
AT(linfdist_tensor, shape, 40);

/* linfdist_schedule */
SIZE(linfdist_schedule, 152);
AT(linfdist_schedule, struct_size, 0);
AT(linfdist_schedule, batches_per_epoch, 8);
AT(linfdist_schedule, eps_begin, 16);
AT(linfdist_schedule, eps_finish, 24);
AT(linfdist_schedule, p_begin, 32);
AT(linfdist_schedule, p_finish, 40);
AT(linfdist_schedule, epochs, 48);
AT(linfdist_schedule, p_start, 56);
AT(linfdist_schedule, p_end, 64);
AT(linfdist_schedule, eps_train_normalized, 72);
AT(linfdist_schedule, eps_smooth, 80);
AT(linfdist_schedule, lambda_start, 88);
AT(linfdist_schedule, lambda_end, 96);
AT(linfdist_schedule, lr, 104);
AT(linfdist_schedule, scalar_lr, 112);
AT(linfdist_schedule, decay_count, 120);
AT(linfdist_schedule, decay_epochs, 128);
AT(linfdist_schedule, lr_begin, 136);
AT(linfdist_schedule, positive_eps, 144);

/* linfdist_schedule_point */
SIZE(linfdist_schedule_point, 48);
AT(linfdist_schedule_point, struct_size, 0);
AT(linfdist_schedule_point, p, 8);
AT(linfdist_schedule_point, eps_normalized, 16);
AT(linfdist_schedule_point, lambda, 24);
AT(linfdist_schedule_point, lr, 32);
AT(linfdist_schedule_point, scalar_lr, 40);

/* linfdist_loss */
SIZE(linfdist_loss, 32);
AT(linfdist_loss, struct_size, 0);
AT(linfdist_loss, kind, 8);
AT(linfdist_loss, mix, 16);
AT(linfdist_loss, clip, 24);

/* linfdist_run_hooks */
SIZE(linfdist_run_hooks, 32);
AT(linfdist_run_hooks, struct_size, 0);
AT(linfdist_run_hooks, sum_means, 8);
AT(linfdist_run_hooks, sum_gradients, 16);
AT(linfdist_run_hooks, user, 24);

/* linfdist_adam_options */
SIZE(linfdist_adam_options, 48);
AT(linfdist_adam_options, struct_size, 0);
AT(linfdist_adam_options, beta1, 8);
AT(linfdist_adam_options, beta2, 16);
AT(linfdist_adam_options, epsilon, 24);
AT(linfdist_adam_options, weight_decay, 32);
AT(linfdist_adam_options, decay, 40);

/* linfdist_attack_options */
SIZE(linfdist_attack_options, 72);
AT(linfdist_attack_options, struct_size, 0);
AT(linfdist_attack_options, steps, 8);
AT(linfdist_attack_options, step_fraction, 16);
AT(linfdist_attack_options, restarts, 24);
AT(linfdist_attack_options, random_start, 32);
AT(linfdist_attack_options, clamp, 36);
AT(linfdist_attack_options, last_iterate, 40);
AT(linfdist_attack_options, p_count, 48);
AT(linfdist_attack_options, p, 56);
AT(linfdist_attack_options, seed, 64);

/* linfdist_lipschitz_options */
SIZE(linfdist_lipschitz_options, 48);
AT(linfdist_lipschitz_options, struct_size, 0);
AT(linfdist_lipschitz_options, eps_normalized, 8);
AT(linfdist_lipschitz_options, steps, 16);
AT(linfdist_lipschitz_options, step_fraction, 24);
AT(linfdist_lipschitz_options, restarts, 32);
AT(linfdist_lipschitz_options, seed, 40);

#endif

#define VALUE(name, value) _Static_assert(name == (value), "value of " #name)

VALUE(LINFDIST_OK, 0);
VALUE(LINFDIST_ERROR_INVALID_ARGUMENT, 1);
VALUE(LINFDIST_ERROR_NOT_FINITE, 2);
VALUE(LINFDIST_ERROR_OUT_OF_MEMORY, 3);
VALUE(LINFDIST_ERROR_UNSUPPORTED, 4);
VALUE(LINFDIST_ERROR_IO, 5);
VALUE(LINFDIST_ERROR_FORMAT, 6);
VALUE(LINFDIST_ERROR_SHAPE, 7);
VALUE(LINFDIST_ERROR_STATE, 8);
VALUE(LINFDIST_ERROR_INVERTED_INTERVAL, 9);
VALUE(LINFDIST_ERROR_RANGE, 10);
VALUE(LINFDIST_EVALUATE, 0);
VALUE(LINFDIST_TRAIN, 1);
VALUE(LINFDIST_LAYER_DISTANCE, 1);
VALUE(LINFDIST_LAYER_MEAN_SHIFT, 2);
VALUE(LINFDIST_LAYER_BIAS, 3);
VALUE(LINFDIST_LAYER_DISTANCE_CONV, 4);
VALUE(LINFDIST_LAYER_LINEAR, 5);
VALUE(LINFDIST_LAYER_CONV, 6);
VALUE(LINFDIST_LAYER_TANH, 7);
VALUE(LINFDIST_LAYER_RELU, 8);
VALUE(LINFDIST_OUTPUTS_DISTANCES, 0);
VALUE(LINFDIST_OUTPUTS_LOGITS, 1);
VALUE(LINFDIST_DTYPE_F32, 1);
VALUE(LINFDIST_ROLE_WEIGHT, 1);
VALUE(LINFDIST_ROLE_BIAS, 2);
VALUE(LINFDIST_ROLE_SCALAR, 3);
VALUE(LINFDIST_ROLE_RUNNING_MEAN, 4);
VALUE(LINFDIST_RUN_INFERENCE, 0);
VALUE(LINFDIST_RUN_TRAINING, 1);
VALUE(LINFDIST_RUN_INTERVAL_TRAINING, 2);
VALUE(LINFDIST_LOSS_MIXTURE, 1);
VALUE(LINFDIST_LOSS_HINGE, 2);
VALUE(LINFDIST_LOSS_CROSSENTROPY, 3);
VALUE(LINFDIST_DECAY_PLAIN, 0);
VALUE(LINFDIST_DECAY_LP, 1);
VALUE(LINFDIST_METHOD_MARGIN, 1);
VALUE(LINFDIST_METHOD_INTERVAL, 2);
