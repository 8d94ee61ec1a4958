# BLIS, the matrix products: BLIS::BLIS, the position-independent archive of its serial build (Debian:
# libblis-serial-dev), so that no BLAS symbol and no OpenMP reaches the host program. A shared BLIS would not do: it
# hides the kernels that lib/gemm/gemm.c calls by name.
find_path(BLIS_INCLUDE_DIR blis.h PATH_SUFFIXES blis-serial blis)
find_library(BLIS_LIBRARY NAMES libblis.a PATH_SUFFIXES blis-serial)
mark_as_advanced(BLIS_INCLUDE_DIR BLIS_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(BLIS
    REQUIRED_VARS BLIS_LIBRARY BLIS_INCLUDE_DIR
    REASON_FAILURE_MESSAGE "install libblis-serial-dev, or configure with -DLINFDIST_BLIS=none")

if(BLIS_FOUND AND NOT TARGET BLIS::BLIS)
    find_package(Threads REQUIRED)
    add_library(BLIS::BLIS UNKNOWN IMPORTED)
    set_target_properties(BLIS::BLIS PROPERTIES
        IMPORTED_LOCATION "${BLIS_LIBRARY}"
        INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${BLIS_INCLUDE_DIR}"
        INTERFACE_LINK_LIBRARIES "Threads::Threads;m")
endif()
