# BLIS, the matrix products: BLIS::BLIS, the position-independent archive of its serial build (Debian:
# libblis-serial-dev), so that no BLAS symbol and no OpenMP reaches the host program. A shared BLIS would not do: it
# hides the kernels that lib/gemm/gemm.c calls by name.
find_path(BLIS_INCLUDE_DIR blis.h PATH_SUFFIXES blis-serial blis)
find_library(BLIS_LIBRARY NAMES libblis.a PATH_SUFFIXES blis-serial)
mark_as_advanced(BLIS_INCLUDE_DIR BLIS_LIBRARY)

# Before BLIS 0.9 kernels took no sizes, and a build for one processor alone has one kernel alone.
set(BLIS_KERNELS TRUE)
if(BLIS_LIBRARY AND BLIS_INCLUDE_DIR AND linfdist_isas)
    include(CheckCSourceCompiles)
    include(CMakePushCheckState)
    cmake_push_check_state(RESET)
    find_package(Threads REQUIRED)
    set(CMAKE_REQUIRED_INCLUDES "${BLIS_INCLUDE_DIR}")
    set(CMAKE_REQUIRED_LIBRARIES "${BLIS_LIBRARY}" Threads::Threads m)
    check_c_source_compiles("#include <blis.h>
int main(void) {
    static double x[1024];
    auxinfo_t next = {0};
    bli_dgemm_haswell_asm_6x8(6, 8, 0, x, x, x, x, x, 8, 1, &next, NULL);
    bli_dgemm_skx_asm_16x14(16, 14, 0, x, x, x, x, x, 1, 16, &next, NULL);
    return 0;
}
" BLIS_HAS_KERNELS)
    cmake_pop_check_state()
    set(BLIS_KERNELS ${BLIS_HAS_KERNELS})
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(BLIS
    REQUIRED_VARS BLIS_LIBRARY BLIS_INCLUDE_DIR BLIS_KERNELS
    REASON_FAILURE_MESSAGE "install libblis-serial-dev of BLIS 0.9 or later, built for x86-64 in general, or configure with -DLINFDIST_BLIS=none")

if(BLIS_FOUND AND NOT TARGET BLIS::BLIS)
    find_package(Threads REQUIRED)
    add_library(BLIS::BLIS UNKNOWN IMPORTED)
    set_target_properties(BLIS::BLIS PROPERTIES
        IMPORTED_LOCATION "${BLIS_LIBRARY}"
        INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${BLIS_INCLUDE_DIR}"
        INTERFACE_LINK_LIBRARIES "Threads::Threads;m")
endif()
