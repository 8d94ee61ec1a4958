# Header, library, CMake package (find_package(linfdist), target linfdist::linfdist) and pkg-config file.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/linfdist")
install(TARGETS linfdist EXPORT linfdist-targets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/linfdist/linfdist.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/linfdist)
install(FILES LICENSE THIRD_PARTY_NOTICES.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(EXPORT linfdist-targets NAMESPACE linfdist:: DESTINATION ${package_dir})

configure_package_config_file(cmake/linfdist-config.cmake.in linfdist-config.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 a program asks for the minor version it was written for.
write_basic_package_version_file(linfdist-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    "${CMAKE_CURRENT_BINARY_DIR}/linfdist-config.cmake" "${CMAKE_CURRENT_BINARY_DIR}/linfdist-config-version.cmake"
    DESTINATION ${package_dir})

# Relative to the .pc file, so that an installed tree can be moved, unless a folder was given as an absolute one.
function(pc_folder variable folder)
    if(NOT IS_ABSOLUTE "${folder}")
        string(PREPEND folder "\${prefix}/")
    endif()
    set(${variable} "${folder}" PARENT_SCOPE)
endfunction()
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH pc_prefix "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
    string(PREPEND pc_prefix "\${pcfiledir}/")
endif()
pc_folder(pc_libdir "${CMAKE_INSTALL_LIBDIR}")
pc_folder(pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
configure_file(cmake/linfdist.pc.in linfdist.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/linfdist.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
