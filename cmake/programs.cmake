# What is installed: the program, the library in both forms, its header, the manual.

# The commands are a library, so that tests can reach them; main.c is the rest of the program.
file(GLOB cli_sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/src/cli/*.c")
list(REMOVE_ITEM cli_sources "${CMAKE_SOURCE_DIR}/src/cli/main.c")
add_library(cli STATIC ${cli_sources})
target_link_libraries(cli PUBLIC api client terminal PRIVATE Threads::Threads)

add_executable(stele-cli src/cli/main.c)
target_link_libraries(stele-cli PRIVATE cli)
set_target_properties(stele-cli PROPERTIES OUTPUT_NAME stele
                      RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")

# The library for host programs: everything but the commands. Only what stele.h declares is
# visible: hidden symbols stay inside of the shared form. For the static one all objects are first
# made one, and then its hidden symbols local, so that a program may have any name but stele_….
set(stele_parts ${stele_folders})
list(REMOVE_ITEM stele_parts client terminal)
set(stele_objects)
foreach(part ${stele_parts})
  list(APPEND stele_objects $<TARGET_OBJECTS:${part}>)
endforeach()
set(stele_requirements PkgConfig::UV PkgConfig::SQLITE PkgConfig::JANSSON
    PkgConfig::ZLIB PkgConfig::UUID PkgConfig::SSL PkgConfig::CRYPTO PkgConfig::CURL Threads::Threads m)
if(STELE_LOG)
  list(APPEND stele_requirements PkgConfig::NATS)
  set(stele_pc_log " libnats")
endif()
set(stele_object "${CMAKE_BINARY_DIR}/generated/stele.o")
add_custom_command(
  OUTPUT "${stele_object}"
  COMMAND "${CMAKE_LINKER}" -r -o "${stele_object}" ${stele_objects}
  COMMAND "${CMAKE_OBJCOPY}" --localize-hidden "${stele_object}"
  DEPENDS ${stele_parts} ${stele_objects}
  COMMAND_EXPAND_LISTS VERBATIM)
set_source_files_properties("${stele_object}" PROPERTIES GENERATED ON EXTERNAL_OBJECT ON)
add_library(stele-shared SHARED ${stele_objects})
add_library(stele-static STATIC "${stele_object}")
foreach(target stele-shared stele-static)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME stele LINKER_LANGUAGE C
                        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
                        LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}"
                        ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")
  target_include_directories(${target} INTERFACE "${CMAKE_SOURCE_DIR}/include")
endforeach()
target_link_libraries(stele-shared PRIVATE ${stele_requirements})
target_link_libraries(stele-static INTERFACE ${stele_requirements})

# stele.pc finds the prefix from where it stands itself: it is right wherever the files are
# installed, or moved to. An absolute CMAKE_INSTALL_LIBDIR is taken at its word.
set(stele_pc_prefix "${CMAKE_INSTALL_PREFIX}")
set(stele_pc_libdir "${CMAKE_INSTALL_FULL_LIBDIR}")
set(stele_pc_includedir "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  file(RELATIVE_PATH up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
  string(REGEX REPLACE "/$" "" up "${up}")
  set(stele_pc_prefix "\${pcfiledir}/${up}")
  set(stele_pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
  if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(stele_pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
  endif()
endif()
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
