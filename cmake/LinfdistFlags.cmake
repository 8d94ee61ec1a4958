# Flags of every target of this project. Results must have the same bits from every compiler: products are never
# contracted into fused operations, and no option may relax IEEE semantics.
include(CheckCCompilerFlag)

add_library(linfdist_flags INTERFACE)
target_compile_features(linfdist_flags INTERFACE c_std_11)
target_compile_options(linfdist_flags INTERFACE
    -ffp-contract=off
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes
    -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef)
if(LINFDIST_WERROR)
    target_compile_options(linfdist_flags INTERFACE -Werror)
endif()
if(LINFDIST_SANITIZE)
    target_compile_options(linfdist_flags INTERFACE -fsanitize=${LINFDIST_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(linfdist_flags INTERFACE -fsanitize=${LINFDIST_SANITIZE})
endif()
if(LINFDIST_COVERAGE)
    target_compile_options(linfdist_flags INTERFACE --coverage)
    target_link_options(linfdist_flags INTERFACE --coverage)
endif()

# The instruction sets that kernels are compiled for beside the reference, on x86-64 where the compiler has them.
set(linfdist_avx2_flags -mavx2 -mfma -mpopcnt)
set(linfdist_avx512_flags -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma -mpopcnt)
set(linfdist_isas)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
    list(JOIN linfdist_avx512_flags " " flags)
    check_c_compiler_flag("${flags}" LINFDIST_COMPILER_HAS_X86_ISA)
    if(LINFDIST_COMPILER_HAS_X86_ISA)
        set(linfdist_isas avx2 avx512)
    endif()
endif()

# A program or test of this project: the common flags, C11 without GNU extensions.
function(linfdist_target target)
    set_target_properties(${target} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
    target_link_libraries(${target} PRIVATE linfdist_flags)
endfunction()
