# The library, compiled once: `linfdist` is the shared library with the public functions only, `linfdist_internal` holds
# the same objects for tests that reach internals.
find_package(Jansson REQUIRED)
if(LINFDIST_PTHREADPOOL)
    find_package(Pthreadpool REQUIRED)
endif()
if(LINFDIST_BLIS STREQUAL "private")
    find_package(BLIS REQUIRED)
elseif(NOT LINFDIST_BLIS STREQUAL "none")
    message(FATAL_ERROR "LINFDIST_BLIS is \"${LINFDIST_BLIS}\", must be private or none")
endif()

set(linfdist_sources
    lib/cpu.c
    lib/dispatch.c
    lib/math.c
    lib/patches.c
    lib/power.c
    lib/gemm/gemm.c
    lib/ref/bounds.c
    lib/ref/codes.c
    lib/ref/elementwise.c
    lib/ref/linf.c
    lib/ref/lp.c
    lib/ref/ranked.c
    src/adam.c
    src/alloc.c
    src/ascent.c
    src/attack.c
    src/certifier.c
    src/checkpoint.c
    src/code_groups.c
    src/codes.c
    src/context.c
    src/conv_ops.c
    src/decay.c
    src/file.c
    src/json.c
    src/lipschitz.c
    src/loss.c
    src/model.c
    src/model_file.c
    src/model_header.c
    src/model_info.c
    src/nets.c
    src/operators.c
    src/ops.c
    src/optimizer.c
    src/options.c
    src/parallel.c
    src/prepare.c
    src/product.c
    src/prune.c
    src/ranking.c
    src/random.c
    src/run.c
    src/run_calls.c
    src/run_pass.c
    src/safetensors.c
    src/schedule.c
    src/screen.c
    src/sequence.c
    src/status.c
    src/units.c
    src/version.c
    src/workers.c
    src/layers/activation.c
    src/layers/affine.c
    src/layers/bias.c
    src/layers/conv.c
    src/layers/conv_factors.c
    src/layers/distance.c
    src/layers/distance_conv.c
    src/layers/layer.c
    src/layers/linear.c
    src/layers/mean_shift.c)
set(linfdist_definitions)
foreach(isa IN LISTS linfdist_isas)
    set(source "${CMAKE_CURRENT_SOURCE_DIR}/lib/isa/${isa}.c")
    list(APPEND linfdist_sources ${source})
    # No LTO for these files: it could move their instructions into code that every machine runs.
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${linfdist_${isa}_flags};-fno-lto")
endforeach()

if(linfdist_isas)
    list(APPEND linfdist_definitions LFD_HAVE_X86_ISA)
endif()

add_library(linfdist_objects OBJECT ${linfdist_sources})
linfdist_target(linfdist_objects)
set_target_properties(linfdist_objects PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
target_compile_definitions(linfdist_objects PRIVATE ${linfdist_definitions})
# Square roots are instructions, not calls that might set errno. Sections of their own let the linker leave out what no
# public function needs, such as the product that only the bench compares with and the BLIS behind it.
target_compile_options(linfdist_objects PRIVATE -fno-math-errno -ffunction-sections -fdata-sections)
target_include_directories(linfdist_objects PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)

# What both forms of the library link; every dependency is used by one source file. libm has the floating-point
# environment; nothing of it that rounds is used.
add_library(linfdist_dependencies INTERFACE)
target_link_libraries(linfdist_dependencies INTERFACE Jansson::Jansson m)
if(LINFDIST_PTHREADPOOL)
    target_compile_definitions(linfdist_objects PRIVATE LFD_HAVE_PTHREADPOOL)
    target_link_libraries(linfdist_dependencies INTERFACE Pthreadpool::Pthreadpool)
endif()
if(LINFDIST_BLIS STREQUAL "private")
    target_compile_definitions(linfdist_objects PRIVATE LFD_HAVE_BLIS)
    target_link_libraries(linfdist_dependencies INTERFACE BLIS::BLIS)
endif()
target_link_libraries(linfdist_objects PRIVATE linfdist_dependencies)

add_library(linfdist SHARED)
add_library(linfdist::linfdist ALIAS linfdist)
set(version_script "${CMAKE_CURRENT_SOURCE_DIR}/cmake/linfdist.map")
set_target_properties(linfdist PROPERTIES
    VERSION ${PROJECT_VERSION}
    SOVERSION ${ABI_VERSION}
    LINKER_LANGUAGE C
    LINK_DEPENDS "${version_script}")
target_include_directories(linfdist INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(linfdist PRIVATE
    $<BUILD_INTERFACE:linfdist_objects> $<BUILD_INTERFACE:linfdist_dependencies> $<BUILD_INTERFACE:linfdist_flags>)
target_link_options(linfdist PRIVATE "LINKER:--version-script=${version_script}" LINKER:--exclude-libs,ALL
    LINKER:--gc-sections LINKER:--as-needed)
if(NOT LINFDIST_SANITIZE)
    # Sanitizers leave their run-time symbols to the program.
    target_link_options(linfdist PRIVATE LINKER:-z,defs)
endif()

add_library(linfdist_internal STATIC EXCLUDE_FROM_ALL)
set_target_properties(linfdist_internal PROPERTIES LINKER_LANGUAGE C)
target_include_directories(linfdist_internal INTERFACE include src)
# Quoted includes only: lib/math.h must not stand in for <math.h>.
target_compile_options(linfdist_internal INTERFACE "SHELL:-iquote ${CMAKE_CURRENT_SOURCE_DIR}/lib")
target_link_libraries(linfdist_internal PRIVATE linfdist_objects PUBLIC linfdist_dependencies)
