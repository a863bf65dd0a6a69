# Embeds migrations/*.sql in the database library. Included by the top CMakeLists.txt it adds the
# build step; run as a script (cmake -P) it is that step: -DFOLDER=… -DOUTPUT=….
if(CMAKE_SCRIPT_MODE_FILE)
  file(GLOB migrations "${FOLDER}/*.sql")
  list(SORT migrations)
  set(texts "")
  set(table "")
  set(expected 1)
  foreach(migration ${migrations})
    get_filename_component(name "${migration}" NAME_WE)
    if(NOT name MATCHES "^([0-9][0-9][0-9][0-9])_[a-z_]+$")
      message(FATAL_ERROR "${migration}: a migration is named 0001_what_it_does.sql")
    endif()
    math(EXPR number "1${CMAKE_MATCH_1} - 10000")
    if(NOT number EQUAL expected)
      message(FATAL_ERROR "${migration}: migration number ${expected} is missing before this one")
    endif()
    math(EXPR expected "${expected} + 1")
    # As bytes, because the standard allows a string literal only 4,095 characters.
    file(READ "${migration}" bytes HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(REGEX REPLACE "(....................................................................................................)" "\\1\n" bytes "${bytes}")
    string(APPEND texts "static const char migration_${number}[] = {\n${bytes}0};\n")
    string(APPEND table "    {${number}, \"${name}\", migration_${number}},\n")
  endforeach()
  math(EXPR count "${expected} - 1")
  file(WRITE "${OUTPUT}" "/* Generated from migrations/ by cmake/embed.cmake. */
#include \"database/database_internal.h\"

${texts}
const struct database_migration database_migrations[] = {
${table}};
const size_t database_migration_count = ${count};
")
  return()
endif()

if(TARGET database)
  file(GLOB migrations CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/migrations/*.sql")
  set(generated "${CMAKE_BINARY_DIR}/generated/database_migrations.c")
  add_custom_command(
    OUTPUT "${generated}"
    COMMAND "${CMAKE_COMMAND}" "-DFOLDER=${CMAKE_SOURCE_DIR}/migrations" "-DOUTPUT=${generated}"
            -P "${CMAKE_SOURCE_DIR}/cmake/embed.cmake"
    DEPENDS ${migrations} "${CMAKE_SOURCE_DIR}/cmake/embed.cmake"
    VERBATIM)
  target_sources(database PRIVATE "${generated}")
endif()
