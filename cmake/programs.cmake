# What is installed: the program, the library in both forms, its header, the manual.

# The commands are a library, so that tests can reach them; main.c is the rest of the program.
file(GLOB cli_sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/src/cli/*.c")
list(REMOVE_ITEM cli_sources "${CMAKE_SOURCE_DIR}/src/cli/main.c")
add_library(cli STATIC ${cli_sources})
target_link_libraries(cli PUBLIC api server engine source wire auth view store bus json base
                      PRIVATE Threads::Threads)

add_executable(stele-cli src/cli/main.c)
target_link_libraries(stele-cli PRIVATE cli)
set_target_properties(stele-cli PROPERTIES OUTPUT_NAME stele
                      RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")

# The library for host programs: everything but the commands. Only what stele.h declares is
# visible in the shared form.
set(stele_parts api server source engine bus store view auth wire json base)
set(stele_objects)
foreach(part ${stele_parts})
  list(APPEND stele_objects $<TARGET_OBJECTS:${part}>)
endforeach()
set(stele_requirements PkgConfig::LWS PkgConfig::UV PkgConfig::SQLITE PkgConfig::JANSSON
    PkgConfig::ZLIB PkgConfig::UUID PkgConfig::SSL PkgConfig::CRYPTO PkgConfig::CURL Threads::Threads m)
foreach(kind SHARED STATIC)
  string(TOLOWER "stele-${kind}" target)
  add_library(${target} ${kind} ${stele_objects})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME stele LINKER_LANGUAGE C
                        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
                        LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}"
                        ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")
  target_include_directories(${target} INTERFACE "${CMAKE_SOURCE_DIR}/include")
endforeach()
target_link_libraries(stele-shared PRIVATE ${stele_requirements})
target_link_libraries(stele-static INTERFACE ${stele_requirements})

configure_file("${CMAKE_SOURCE_DIR}/cmake/stele.pc.in" "${CMAKE_BINARY_DIR}/stele.pc" @ONLY)

install(TARGETS stele-cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT server)
install(TARGETS stele-shared stele-static
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT library NAMELINK_COMPONENT dev
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT dev)
install(FILES include/stele/stele.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/stele" COMPONENT dev)
install(FILES "${CMAKE_BINARY_DIR}/stele.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
        COMPONENT dev)

# The example is a host program like any other: it sees the public header and the shared library.
if(BUILD_TESTING)
  add_executable(stele-example tools/example/embed.c)
  target_link_libraries(stele-example PRIVATE stele-shared)
  set_target_properties(stele-example PROPERTIES OUTPUT_NAME embed
                        RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/example")
  add_test(NAME example/embed COMMAND stele-example)
endif()
