/* Model files and checkpoints are one safetensors layout. Metadata: format, format_version, library_version,
 * architecture, statistics (or none), each JSON where it is more than a word; other keys are left to anyone. Tensors:
 * the model's, under its names. A checkpoint adds the metadata optimizer and the tensors optimizer.m.NAME,
 * optimizer.v.NAME and state. */
#ifndef LFD_MODEL_FILE_H
#define LFD_MODEL_FILE_H

#include "model.h"
#include "safetensors.h"

#define LFD_FORMAT_MODEL "linfdist-model"
#define LFD_FORMAT_CHECKPOINT "linfdist-checkpoint"

/* ---- model_header.c: the metadata ---- */

/* Everything about the model that is not a tensor. */
linfdist_status lfd_header_describe(const linfdist_model *model, const char *format, lfd_json **metadata);
/* Puts value, which it takes over, into the metadata as text; the other direction; value NULL means memory is out. */
linfdist_status lfd_header_put(const linfdist_context *context, lfd_json *metadata, const char *key, lfd_json *value);
linfdist_status lfd_header_get(const linfdist_context *context, lfd_json *metadata, const char *key, lfd_json **value);
/* The format's word, after the version is checked. metadata may be NULL. */
linfdist_status lfd_header_format(lfd_json *metadata, const char **format);
/* Its layers are to be given back with lfd_free. */
linfdist_status lfd_header_architecture(const linfdist_context *context, lfd_json *metadata,
                                        lfd_architecture *architecture);
/* Sets the model's statistics where the metadata has any. */
linfdist_status lfd_header_statistics(lfd_json *metadata, linfdist_model *model);
/* A file's values are not the caller's arguments: INVALID_ARGUMENT and RANGE become FORMAT, with their message. */
linfdist_status lfd_blame_file(linfdist_status status);

/* ---- model_file.c: the tensors ---- */

/* A table entry for data (a tensor of the model or something of its shape) under a name. */
void lfd_file_entry(const char *name, const lfd_tensor *tensor, const float *data, lfd_file_tensor *entry);
/* Copies the file's tensor of that name to data; it must be F32 and have the tensor's shape. */
linfdist_status lfd_file_copy(const lfd_safetensors *file, const char *name, const lfd_tensor *tensor, float *data);
/* Makes the model of a file or a checkpoint; what belongs to neither is not looked for. */
linfdist_status lfd_model_read(linfdist_context *context, const lfd_safetensors *file, linfdist_model **model);

#endif
