# BLIS, the matrix products: BLIS::BLIS. With LINFDIST_BLIS=private it is the position-independent archive of the serial
# build (Debian: libblis-serial-dev), so that no BLAS symbol and no OpenMP reaches the host program; with system it is
# whatever shared library the system offers.
if(LINFDIST_BLIS STREQUAL "private")
    set(blis_names libblis.a)
    set(blis_hint "install libblis-serial-dev, or configure with -DLINFDIST_BLIS=system or -DLINFDIST_BLIS=none")
else()
    set(blis_names blis)
    set(blis_hint "install libblis-dev or configure with -DLINFDIST_BLIS=none")
endif()

# Looked up under a name per choice, so that changing the choice in a build folder takes effect.
find_path(BLIS_${LINFDIST_BLIS}_INCLUDE_DIR blis.h PATH_SUFFIXES blis-serial blis)
find_library(BLIS_${LINFDIST_BLIS}_LIBRARY NAMES ${blis_names} PATH_SUFFIXES blis-serial)
mark_as_advanced(BLIS_${LINFDIST_BLIS}_INCLUDE_DIR BLIS_${LINFDIST_BLIS}_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(BLIS
    REQUIRED_VARS BLIS_${LINFDIST_BLIS}_LIBRARY BLIS_${LINFDIST_BLIS}_INCLUDE_DIR
    REASON_FAILURE_MESSAGE "${blis_hint}")

if(BLIS_FOUND AND NOT TARGET BLIS::BLIS)
    find_package(Threads REQUIRED)
    add_library(BLIS::BLIS UNKNOWN IMPORTED)
    set_target_properties(BLIS::BLIS PROPERTIES
        IMPORTED_LOCATION "${BLIS_${LINFDIST_BLIS}_LIBRARY}"
        INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${BLIS_${LINFDIST_BLIS}_INCLUDE_DIR}"
        INTERFACE_LINK_LIBRARIES "Threads::Threads;m")
endif()
