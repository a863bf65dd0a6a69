# Embeds migrations/*.sql in the database library, and the files of src/http/inspector in the http
# library. Included by the top CMakeLists.txt it adds the build steps; run as a script (cmake -P) it
# is such a step: -DKIND=migrations|inspector -DFOLDER=… -DOUTPUT=….

# The content of a file as the elements of an array of char. As bytes, because the standard allows a
# string literal only 4,095 characters.
function(read_bytes file out)
  file(READ "${file}" bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
  string(REGEX REPLACE "('[^']*','[^']*','[^']*','[^']*','[^']*','[^']*','[^']*','[^']*','[^']*','[^']*',)" "\\1\n" bytes "${bytes}")
  set(${out} "${bytes}" PARENT_SCOPE)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE AND KIND STREQUAL inspector)
  file(GLOB files "${FOLDER}/*")
  list(SORT files)
  set(texts "")
  set(table "")
  set(count 0)
  foreach(file ${files})
    get_filename_component(name "${file}" NAME)
    file(SHA256 "${file}" digest)
    string(SUBSTRING "${digest}" 0 16 digest)
    read_bytes("${file}" bytes)
    string(APPEND texts "static const char file_${count}[] = {\n${bytes}0};\n")
    string(APPEND table "    {\"${name}\", \"\\\"${digest}\\\"\", file_${count}, sizeof file_${count} - 1},\n")
    math(EXPR count "${count} + 1")
  endforeach()
  file(WRITE "${OUTPUT}" "/* Generated from src/http/inspector by cmake/embed.cmake. */
#include \"http/inspector.h\"

${texts}
const struct inspector_file inspector_files[] = {
${table}};
const size_t inspector_file_count = ${count};
")
  return()
endif()

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
    read_bytes("${migration}" bytes)
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

# embed(LIBRARY KIND FOLDER PATTERN): the library has the files of the folder
function(embed library kind folder pattern)
  if(NOT TARGET ${library})
    return()
  endif()
  file(GLOB files CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${folder}/${pattern}")
  set(generated "${CMAKE_BINARY_DIR}/generated/${library}_${kind}.c")
  add_custom_command(
    OUTPUT "${generated}"
    COMMAND "${CMAKE_COMMAND}" "-DKIND=${kind}" "-DFOLDER=${CMAKE_SOURCE_DIR}/${folder}"
            "-DOUTPUT=${generated}" -P "${CMAKE_SOURCE_DIR}/cmake/embed.cmake"
    DEPENDS ${files} "${CMAKE_SOURCE_DIR}/cmake/embed.cmake"
    VERBATIM)
  target_sources(${library} PRIVATE "${generated}")
endfunction()

embed(database migrations migrations "*.sql")
embed(http inspector src/http/inspector "*")
