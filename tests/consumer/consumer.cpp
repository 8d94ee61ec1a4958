#include <linfdist/linfdist.h>

#include <cstdio>
#include <memory>

struct destroy_context {
    void operator()(linfdist_context *context) const { linfdist_context_destroy(context); }
};

int main() {
    linfdist_context *raw = nullptr;
    if (linfdist_context_create(nullptr, &raw) != LINFDIST_OK) return 1;
    std::unique_ptr<linfdist_context, destroy_context> context(raw);
    std::printf("linfdist %s on %s\n", linfdist_version_string(), linfdist_context_isa(context.get()));
    return linfdist_context_threads(context.get()) == 1 ? 0 : 1;
}
