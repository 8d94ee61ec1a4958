# shellcheck shell=sh
# Sourced by examples/quickstart.sh and tests/run.sh (POSIX sh): installs what is missing, configures and builds.
# Environment: LINFDIST_BUILD_DIR (default: build/ in the repository), LINFDIST_CMAKE_FLAGS (further arguments of cmake).
# Expects $root, the repository.

build=${LINFDIST_BUILD_DIR:-$root/build}

have_command() {
    command -v "$1" >/dev/null 2>&1
}

have_header() {
    have_command cc && echo "#include <$1>" | cc -E -x c - >/dev/null 2>&1
}

have_blis_archive() {
    for archive in /usr/lib/*/blis-serial/libblis.a /usr/local/lib/blis-serial/libblis.a; do
        [ -f "$archive" ] && return 0
    done
    return 1
}

without() {
    case " ${LINFDIST_CMAKE_FLAGS:-} " in *" -D$1 "*) return 0 ;; esac
    return 1
}

# Debian's names of what is needed and not there.
missing_packages() {
    have_command cc || echo gcc libc6-dev
    have_command cmake || echo cmake
    have_command make || have_command ninja || echo make
    have_header jansson.h || echo libjansson-dev
    without LINFDIST_PTHREADPOOL=OFF || have_header pthreadpool.h || echo libpthreadpool-dev
    have_header cmocka.h || echo libcmocka-dev
    without LINFDIST_BLIS=none || have_blis_archive || echo libblis-serial-dev
}

# What reads compressed data.
missing_readers() {
    have_header zlib.h || echo zlib1g-dev
    have_header jpeglib.h || echo libjpeg-dev
}

# What some tests need, which skip themselves without it.
missing_tools() {
    have_command gnuplot || echo gnuplot-nox
    { have_command mpicc && have_command mpirun; } || echo libopenmpi-dev openmpi-bin
    have_command c++ || echo g++
    have_command pkg-config || echo pkg-config
    have_command xmllint || echo libxml2-utils
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

install_packages() {
    [ $# -eq 0 ] && return 0
    if ! have_command apt-get; then
        echo "There is no apt-get here. Please install the equivalents of these Debian packages: $*" >&2
        return 1
    fi
    if [ "$(id -u)" -ne 0 ] && ! have_command sudo; then
        echo "Please install as root, then run this again: apt-get install $*" >&2
        return 1
    fi
    echo "Installing: $*"
    [ -n "${lists_are_fresh:-}" ] || as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q || return
    lists_are_fresh=1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# What may be missing: all at once, or else one by one.
install_optional() {
    install_packages "$@" && return 0
    for package in "$@"; do
        install_packages "$package" || echo "Going on without $package." >&2
    done
}

processors() {
    getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1
}

# configure_and_build TARGET...
configure_and_build() {
    # The flags are a list of words on purpose.
    # shellcheck disable=SC2086
    cmake -S "$root" -B "$build" ${LINFDIST_CMAKE_FLAGS:-} || return
    cmake --build "$build" --parallel "$(processors)" --target "$@"
}
